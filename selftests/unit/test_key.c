// SPDX-License-Identifier: GPL-2.0-or-later
/* Key files: which are taken, and why the others are not. */
/* links: tools/daemon/key.c tools/lib/util.c tools/lib/error.c */
/* libs: uuid gnutls */
/* flags: -lm -Wno-format-truncation */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../../tools/daemon/key.h"
#include "expect.h"
#include "util.h"

#define NOBODY 65534

static const char good[] = "0123456789abcdef0123456789abcdef0123456789abcdef\n";
static struct bc_error error;
static struct keyring ring;
static char path[] = "/tmp/blkcast-key-XXXXXX";

static void put_key(const char *text, mode_t mode)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	EXPECT(fd >= 0 && write(fd, text, strlen(text)) == (ssize_t)strlen(text));
	EXPECT(!fchmod(fd, mode));
	close(fd);
}

static int key_from(const char *text, mode_t mode)
{
	int ret;

	put_key(text, mode);
	ret = keyring_load(&ring, path, &error);
	unlink(path);
	return ret;
}

static void taken(void)
{
	EXPECT(!key_from(good, 0600) && ring.count == 1 && ring.key[0].len == 48 &&
	       !memcmp(ring.key[0].bytes, good, 48));
	EXPECT(!key_from(good, 0400));
}

/* What is refused leaves nothing of the key in memory. */
static void expect_gone(void)
{
	static const struct keyring none;

	EXPECT(!memcmp(&ring, &none, sizeof(ring)));
}

static void accessible_to_others(void)
{
	static const mode_t modes[] = { 0640, 0620, 0610, 0604, 0602, 0601, 0666 };

	for (size_t i = 0; i < BC_ARRAY_SIZE(modes); i++) {
		EXPECT(key_from(good, modes[i]) == -EPERM);
		EXPECT_SAYS(error.text, "chmod 600");
		expect_gone();
	}
}

static void of_another_user(void)
{
	put_key(good, 0600);
	if (chown(path, NOBODY, -1)) {
		ksft_print_msg("only root can give a file away\n");
	} else {
		EXPECT(keyring_load(&ring, path, &error) == -EPERM);
		EXPECT_SAYS(error.text, "another user (uid 65534): chown root");
		expect_gone();
	}
	unlink(path);
}

/* Nor is waited for somebody to write to a pipe. */
static void no_file(void)
{
	EXPECT(!mkfifo(path, 0600));
	alarm(60);
	EXPECT(keyring_load(&ring, path, &error) == -EINVAL);
	alarm(0);
	EXPECT_SAYS(error.text, "is no file");
	unlink(path);
	EXPECT(!mkdir(path, 0700));
	EXPECT(keyring_load(&ring, path, &error) == -EINVAL);
	EXPECT_SAYS(error.text, "is no file");
	rmdir(path);
	EXPECT(keyring_load(&ring, path, &error) == -ENOENT);
	EXPECT_SAYS(error.text, "blkcast genkey");
}

static void no_key(void)
{
	char text[KEY_MAX + 2];

	EXPECT(key_from("short\n", 0600) == -EINVAL);
	EXPECT(key_from("", 0600) == -EINVAL);
	EXPECT(key_from("two words that are long enough to be a key\n", 0600) == -EINVAL);
	expect_gone();
	memset(text, 'k', sizeof(text));
	text[KEY_MAX] = 0;
	EXPECT(key_from(text, 0600) == -EINVAL);
	EXPECT_SAYS(error.text, "longer");
	text[KEY_MAX - 1] = 0;
	EXPECT(!key_from(text, 0600) && ring.key[0].len == KEY_MAX - 1);
}

static void several(void)
{
	static const char two[] = "first-first-first-first-first-first\n\n"
				  "second-second-second-second-second\n";
	char id[KEY_ID], other[KEY_ID], text[(KEYS_MAX + 1) * 64 + 1] = "";
	struct key key;

	EXPECT(!key_from(two, 0600) && ring.count == 2);
	EXPECT(ring.key[0].len == 35 && !memcmp(ring.key[0].bytes, "first", 5));
	EXPECT(ring.key[1].len == 34 && !memcmp(ring.key[1].bytes, "second", 6));
	key = ring.key[1];
	key_id(&ring.key[0], id);
	key_id(&key, other);
	EXPECT(strlen(id) == KEY_ID - 1 && strcmp(id, other));
	EXPECT(keyring_find(&ring, id) == &ring.key[0]);
	EXPECT(keyring_find(&ring, other) == &ring.key[1]);
	EXPECT(!keyring_find(&ring, "") && !keyring_find(&ring, "0123456789abcdef"));
	/* One that is no key spoils all. */
	EXPECT(key_from("first-first-first-first-first-first\nshort\n", 0600) == -EINVAL);
	expect_gone();
	for (int i = 0; i <= KEYS_MAX; i++)
		strcat(text, "0123456789abcdef0123456789abcdef0123456789abcdef\n");
	EXPECT(key_from(text, 0600) == -EINVAL);
	EXPECT_SAYS(error.text, "more than 4 keys");
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "a key that only its owner can read", taken },
		{ "not one that others can read, write or execute", accessible_to_others },
		{ "not one of another user", of_another_user },
		{ "not what is no file", no_file },
		{ "several keys", several },
		{ "not what is too short, too long, or several words", no_key },
	};
	int fd = mkstemp(path);

	if (fd < 0 || close(fd) || unlink(path))
		ksft_exit_fail_msg("no temporary file\n");
	run_tests(tests, BC_ARRAY_SIZE(tests));
}
