// SPDX-License-Identifier: GPL-2.0-or-later
/* When certificates expire, as the daemon tells the exporter by a file. */
/* links: tools/lib/expiry.c tools/lib/util.c tools/lib/error.c */
/* libs: uuid */
/* flags: -Wno-format-truncation */
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "expect.h"
#include "config.h"
#include "expiry.h"
#include "util.h"

static char folder[] = "/tmp/blkcast-expiry-XXXXXX", path[64];
static struct bc_error error;
static struct bc_expiry expiry;

const char *bc_run_dir(void)
{
	return folder;
}

static void all_comes_back(void)
{
	const struct bc_expiry all = {
		.own = 1795680000, .authority = 4102444800, .peers = 2,
		.peer = { { "g2", 253402300799 }, { "g3.example", 1 } },
	};
	struct stat st;

	EXPECT(!bc_expiry_save(&all, &error));
	bc_expiry_load(&expiry);
	EXPECT(!memcmp(&expiry, &all, sizeof(all)));
	EXPECT(bc_expiry_peer(&expiry, "g2") == 253402300799 && !bc_expiry_peer(&expiry, "g"));
	EXPECT(!stat(path, &st) && (st.st_mode & 0777) == 0644);
}

static void nothing_known(void)
{
	static const struct bc_expiry none;

	EXPECT(!bc_expiry_save(&none, &error) && access(path, F_OK));
	EXPECT(!bc_expiry_save(&none, &error));
	bc_expiry_load(&expiry);
	EXPECT(!memcmp(&expiry, &none, sizeof(none)));
}

static void peers_change(void)
{
	char name[16];

	memset(&expiry, 0, sizeof(expiry));
	for (int i = 1; i <= BC_EXPIRY_PEERS + 1; i++) {
		snprintf(name, sizeof(name), "g%d", i);
		bc_expiry_set_peer(&expiry, name, i);
	}
	EXPECT(expiry.peers == BC_EXPIRY_PEERS && !bc_expiry_peer(&expiry, "g1"));
	EXPECT(bc_expiry_peer(&expiry, "g2") == 2 && bc_expiry_peer(&expiry, "g65") == 65);
	bc_expiry_set_peer(&expiry, "g2", 7);
	EXPECT(expiry.peers == BC_EXPIRY_PEERS && bc_expiry_peer(&expiry, "g2") == 7);
	bc_expiry_set_peer(&expiry, "g65", 0);
	bc_expiry_set_peer(&expiry, "g65", 0);
	EXPECT(expiry.peers == BC_EXPIRY_PEERS - 1 && !bc_expiry_peer(&expiry, "g65"));
	EXPECT(bc_expiry_peer(&expiry, "g64") == 64 && bc_expiry_peer(&expiry, "g2") == 7);
}

/* Whoever has written that: no more than there is room for, and only names. */
static void other_lines(void)
{
	FILE *file = fopen(path, "w");

	for (int i = 0; i < 3 * BC_EXPIRY_PEERS; i++)
		fprintf(file, "peer p%d 5\n", i);
	fprintf(file, "own\nca x\npeer a\"b 3\npeer %0100d 4\npeer g2\n\nown 9\n", 7);
	fclose(file);
	bc_expiry_load(&expiry);
	EXPECT(expiry.own == 9 && !expiry.authority && expiry.peers == BC_EXPIRY_PEERS);
	for (unsigned int i = 0; i < expiry.peers; i++)
		EXPECT(expiry.peer[i].ends == 5 && bc_name_valid(expiry.peer[i].name));
	unlink(path);
}

static void remove_folder(void)
{
	rmdir(folder);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "all comes back, for everybody to read", all_comes_back },
		{ "nothing known: no file", nothing_known },
		{ "peers come, change and go, the oldest first", peers_change },
		{ "lines that are none", other_lines },
	};

	umask(0077);
	if (!mkdtemp(folder))
		ksft_exit_fail_msg("no temporary folder\n");
	snprintf(path, sizeof(path), "%s/certificates", folder);
	atexit(remove_folder);
	run_tests(tests, BC_ARRAY_SIZE(tests));
}
