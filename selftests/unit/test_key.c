// SPDX-License-Identifier: GPL-2.0-or-later
/* Key files: which are taken, and why the others are not. */
/* links: tools/daemon/key.c tools/lib/util.c tools/lib/error.c */
/* libs: uuid */
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
static struct key key;
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
	ret = key_load(&key, path, &error);
	unlink(path);
	return ret;
}

static void taken(void)
{
	EXPECT(!key_from(good, 0600) && key.len == 48 && !memcmp(key.bytes, good, 48));
	EXPECT(!key_from(good, 0400));
}

/* What is refused leaves nothing of the key in memory. */
static void expect_gone(void)
{
	static const struct key none;

	EXPECT(!memcmp(&key, &none, sizeof(key)));
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
		EXPECT(key_load(&key, path, &error) == -EPERM);
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
	EXPECT(key_load(&key, path, &error) == -EINVAL);
	alarm(0);
	EXPECT_SAYS(error.text, "is no file");
	unlink(path);
	EXPECT(!mkdir(path, 0700));
	EXPECT(key_load(&key, path, &error) == -EINVAL);
	EXPECT_SAYS(error.text, "is no file");
	rmdir(path);
	EXPECT(key_load(&key, path, &error) == -ENOENT);
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
	EXPECT(!key_from(text, 0600) && key.len == KEY_MAX - 1);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "a key that only its owner can read", taken },
		{ "not one that others can read, write or execute", accessible_to_others },
		{ "not one of another user", of_another_user },
		{ "not what is no file", no_file },
		{ "not what is too short, too long, or several words", no_key },
	};
	int fd = mkstemp(path);

	if (fd < 0 || close(fd) || unlink(path))
		ksft_exit_fail_msg("no temporary file\n");
	run_tests(tests, BC_ARRAY_SIZE(tests));
}
