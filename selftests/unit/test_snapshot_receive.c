// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A copy is filled over a connection that breaks twenty times, from a volume that
 * goes on being written to: in the end each region holds what its stamp says, and
 * what had arrived was not sent again.  While it is not complete nothing passes it
 * for a copy.
 */
/* links: tools/snapshot/create.c tools/snapshot/stamps.c tools/snapshot/writer.c */
/* links: tools/snapshot/output.c tools/snapshot/folder.c tools/snapshot/format.c tools/snapshot/seektable.c */
/* links: tools/snapshot/ring.c tools/snapshot/pool.c tools/lib/progress.c */
/* links: tools/snapshot/extract.c tools/snapshot/reader.c tools/snapshot/input.c */
/* links: tools/snapshot/lowwater.c tools/snapshot/have.c tools/snapshot/head.c tools/snapshot/target.c tools/snapshot/receive.c */
/* links: tools/lib/util.c tools/lib/error.c tools/lib/crc32c.c tools/lib/copy.c tools/lib/blockdev.c */
/* links: tools/lib/config.c tools/lib/config_save.c tools/lib/config_end.c tools/lib/layout.c tools/lib/meta.c */
/* links: tools/lib/meta_block.c tools/lib/meta_map.c tools/lib/meta_runs.c tools/lib/meta_known.c */
/* links: tools/lib/kernel.c tools/lib/kernel_parse.c tools/lib/kernel_names.c */
/* libs: libzstd liburing uuid inih mount blkid libmnl json-c */
/* flags: -lxxhash -lm -pthread -Wno-format-truncation */
#include <libgen.h>
#include <limits.h>
#include <pthread.h>
#include <signal.h>
#include <stdarg.h>
#include <sys/socket.h>
#include <sys/wait.h>

#include "test_volume.h"

#include "tools/snapshot/receive.h"

#define BREAKS	20
#define BYTES	(24ULL << 20)
#define UUID	"71d0733c-b870-4eb5-b50e-ae549aaf15a0"

static char folder[] = "/tmp/test_snapshot.XXXXXX", blkcast[PATH_MAX], device[64];

/**
 * struct sender - the other end
 * @cut: break off behind so many bytes
 * @keep: do not close then
 */
struct sender {
	struct volume *volume;
	int fd;
	size_t cut;
	bool keep;
};

static int shell(const char *format, ...) __attribute__((format(printf, 1, 2)));

static int shell(const char *format, ...)
{
	char command[2 * PATH_MAX];
	va_list args;

	va_start(args, format);
	vsnprintf(command, sizeof(command), format, args);
	va_end(args);
	return system(command);
}

/* Make the delta in a file, send as much of it as is wanted. */
static void send_delta(struct sender *sender, const struct have *have)
{
	struct stamps stamps = { .ask = volume_ask, .arg = sender->volume };
	struct bc_error error;
	char path[PATH_MAX];
	uint8_t *data;
	struct stat st;
	size_t size;
	int fd;

	snprintf(path, sizeof(path), "%s/delta", folder);
	MUST(!stamps_init(&stamps, BYTES, sender->volume->shift, &error));
	MUST(!take_delta(sender->volume->fd, BYTES, &stamps, have, path, &error));
	stamps_release(&stamps);
	fd = open(path, O_RDONLY);
	MUST(fd >= 0 && !fstat(fd, &st));
	size = (size_t)st.st_size < sender->cut ? (size_t)st.st_size : sender->cut;
	data = malloc(size + 1);
	MUST(data && !bc_pread_full(fd, data, size, 0));
	bc_write_full(sender->fd, data, size);
	free(data);
	close(fd);
}

static void *sender_run(void *arg)
{
	struct sender *sender = arg;
	struct bc_error error;
	struct have have;

	MUST(!have_receive(&have, sender->fd, "the socket", &error));
	send_delta(sender, &have);
	have_release(&have);
	if (!sender->keep)
		close(sender->fd);
	return NULL;
}

static int receive_until(struct volume *volume, size_t cut, struct received *received,
			 struct bc_error *error)
{
	struct sender sender = { .volume = volume, .cut = cut };
	pthread_t thread;
	int fd[2], err;

	MUST(!socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	sender.fd = fd[1];
	MUST(!pthread_create(&thread, NULL, sender_run, &sender));
	err = receive_volume("data", fd[0], "the other end", true, received, error);
	close(fd[0]);
	pthread_join(thread, NULL);
	return err;
}

/* What the copy has now.  Of one that was killed the kernel holds it for a moment. */
static void look(struct target *target)
{
	uint64_t until = bc_now_ns() + 20000000000ULL;
	struct bc_error error;
	int err;

	while ((err = target_open_copy(target, "data", &error)) == -EBUSY && bc_now_ns() < until)
		usleep(1000);
	if (err)
		ksft_exit_fail_msg("%s\n", error.text);
}

static unsigned int expect_content(const struct volume *volume)
{
	uint8_t *want = malloc(1U << volume->shift), *got = NULL;
	struct target target;
	unsigned int r, doubt = 0;

	MUST(want && !posix_memalign((void **)&got, 4096, 1U << volume->shift));
	look(&target);
	EXPECT(!(target.copy.meta.super.flags & BLKCAST_SUPER_INCOMPLETE));
	for (r = 0; r < volume->regions; r++) {
		uint64_t stamp = target.have.stamp[r];

		if (stamp == BLKCAST_LSN_DOUBT)
			doubt++;
		if (stamp == BLKCAST_LSN_DOUBT || stamp == BLKCAST_LSN_NEVER)
			continue;
		MUST(!bc_pread_full(target.fd, got, region_bytes(volume, r),
				    target.base + ((uint64_t)r << volume->shift)));
		region_content(volume, r, stamp, want);
		EXPECT(!memcmp(got, want, region_bytes(volume, r)));
	}
	target_close(&target);
	free(want);
	free(got);
	return doubt;
}

/* A journal is true: what it says is there has the content of its stamp. */
static unsigned int expect_journal(const struct volume *volume)
{
	uint8_t *want = malloc(1U << volume->shift), *got = NULL;
	struct target target;
	unsigned int r, have = 0;

	MUST(want && !posix_memalign((void **)&got, 4096, 1U << volume->shift));
	look(&target);
	EXPECT(target.copy.meta.super.flags & BLKCAST_SUPER_INCOMPLETE);
	for (r = 0; r < volume->regions; r++) {
		if (target.have.stamp[r] == BLKCAST_LSN_NEVER)
			continue;
		EXPECT(target.have.stamp[r] != BLKCAST_LSN_DOUBT);
		have++;
		MUST(!bc_pread_full(target.fd, got, region_bytes(volume, r),
				    target.base + ((uint64_t)r << volume->shift)));
		region_content(volume, r, target.have.stamp[r], want);
		EXPECT(!memcmp(got, want, region_bytes(volume, r)));
	}
	target_close(&target);
	free(want);
	free(got);
	return have;
}

static void create_copy(void)
{
	EXPECT(!shell("dd if=/dev/urandom of=%s bs=1M count=26 status=none", device));
	EXPECT(!shell("%s destroy data --force > /dev/null 2>&1; %s create data --device %s --size 24M --uuid %s --force > /dev/null",
		      blkcast, blkcast, device, UUID));
}

static void fresh_copy_is_filled(void)
{
	struct received received;
	struct bc_error error;
	struct volume volume;
	unsigned int r;
	uint64_t written = 0;

	create_copy();
	volume_make(&volume, BYTES, 16);
	for (r = 0; r < volume.regions; r++)
		written += volume.stamp[r] ? region_bytes(&volume, r) : 0;
	EXPECT(!receive_until(&volume, SIZE_MAX, &received, &error));
	EXPECT(received.bytes == written);
	EXPECT(expect_content(&volume) == 0);
	/* Once more: there is nothing to send. */
	EXPECT(!receive_until(&volume, SIZE_MAX, &received, &error));
	EXPECT(received.bytes == 0);
	EXPECT(expect_content(&volume) == 0);
	close(volume.fd);
}

static void broken_connection_is_gone_on_with(void)
{
	unsigned int i, most = 0, cuts = 0;
	struct received received = { 0 };
	struct bc_error error;
	struct volume volume;

	create_copy();
	volume_make(&volume, BYTES, 16);
	for (i = 0; i < BREAKS; i++) {
		unsigned int have;

		volume.write_rate = i % 4 == 3;
		if (!receive_until(&volume, random_below(1 << 20), &received, &error))
			break;
		cuts++;
		have = expect_journal(&volume);
		if (have > most)
			most = have;
	}
	volume.write_rate = 0;
	ksft_print_msg("after %u breaks %u of %u regions were there\n", cuts, most,
		       volume.regions);
	EXPECT(cuts >= BREAKS / 2);
	EXPECT(most > volume.regions / 4);
	EXPECT(!receive_until(&volume, SIZE_MAX, &received, &error));
	EXPECT(received.bytes < (uint64_t)(volume.regions - most / 2) << 16);
	EXPECT(expect_content(&volume) == 0);
	close(volume.fd);
}

/* Region @r of the device has the content of its stamp now. */
static bool on_device(const struct volume *volume, uint32_t r, uint64_t base)
{
	size_t size = region_bytes(volume, r);
	uint8_t *want = malloc(size), *got = NULL;
	int fd = open(device, O_RDONLY | O_DIRECT);
	bool same;

	MUST(want && fd >= 0 && !posix_memalign((void **)&got, 4096, size));
	MUST(!bc_pread_full(fd, got, size, base + ((uint64_t)r << volume->shift)));
	region_content(volume, r, volume->stamp[r], want);
	same = !memcmp(got, want, size);
	close(fd);
	free(want);
	free(got);
	return same;
}

/* Receive in a process that is killed once region @r has been overwritten. */
static bool killed_behind(struct volume *volume, uint32_t r, uint64_t base)
{
	struct sender sender = { .volume = volume, .cut = 1 << 20, .keep = true };
	uint64_t until = bc_now_ns() + 20000000000ULL;
	struct received received;
	struct bc_error error;
	bool seen = false;
	int fd[2];
	pid_t pid;

	MUST(!socketpair(AF_UNIX, SOCK_STREAM, 0, fd));
	pid = fork();
	MUST(pid >= 0);
	if (!pid) {
		target_journal_ms = 60000;
		close(fd[1]);
		receive_volume("data", fd[0], "the other end", true, &received, &error);
		_exit(0);
	}
	close(fd[0]);
	sender.fd = fd[1];
	sender_run(&sender);
	while (!seen && bc_now_ns() < until)
		seen = on_device(volume, r, base);
	kill(pid, SIGKILL);
	MUST(waitpid(pid, NULL, 0) == pid);
	close(fd[1]);
	return seen;
}

/* What is about to be overwritten counts as missing before it is. */
static void killed_copy_claims_nothing(void)
{
	struct received received;
	struct bc_error error;
	struct volume volume;
	struct target target;
	unsigned int i;

	create_copy();
	volume_make(&volume, BYTES, 16);
	EXPECT(!receive_until(&volume, SIZE_MAX, &received, &error));
	look(&target);
	target_close(&target);
	for (i = 0; i < 4; i++) {
		uint32_t r = random_below(volume.regions), more;

		region_write(&volume, r);
		/* Enough that it cannot come to its end. */
		for (more = 0; more < volume.regions; more += 3)
			region_write(&volume, more);
		EXPECT(killed_behind(&volume, 0, target.base));
		expect_journal(&volume);
	}
	EXPECT(!receive_until(&volume, SIZE_MAX, &received, &error));
	EXPECT(expect_content(&volume) == 0);
	close(volume.fd);
}

static void another_volume_is_refused(void)
{
	struct received received;
	struct bc_error error;
	struct volume volume;

	create_copy();
	volume_make(&volume, BYTES, 16);
	test_uuid[3] ^= 1;
	EXPECT(receive_until(&volume, SIZE_MAX, &received, &error));
	EXPECT(strstr(error.text, "uuid"));
	test_uuid[3] ^= 1;
	close(volume.fd);
}

static bool take_device(void)
{
	FILE *loop;

	if (shell("truncate -s 26M %s/disk", folder))
		return false;
	shell("losetup --find --show %s/disk > %s/loop 2> /dev/null", folder, folder);
	snprintf(device, sizeof(device), "%s/loop", folder);
	loop = fopen(device, "r");
	if (!loop || fscanf(loop, "%63s", device) != 1)
		device[0] = 0;
	if (loop)
		fclose(loop);
	return device[0];
}

int main(void)
{
	ssize_t n = readlink("/proc/self/exe", blkcast, sizeof(blkcast) - 32);

	MUST(n > 0);
	blkcast[n] = 0;
	strcat(dirname(dirname(dirname(blkcast))), "/tools/blkcast");
	MUST(mkdtemp(folder));
	setenv("BLKCAST_CONFIG_DIR", folder, 1);
	if (access(blkcast, X_OK) || !take_device()) {
		shell("rm -r %s", folder);
		ksft_exit_skip("no blkcast or no loop device here\n");
	}
	shell("mkdir %s/volumes.d", folder);
	bc_uuid_parse(UUID, test_uuid);
	target_journal_ms = 0;
	signal(SIGPIPE, SIG_IGN);
	ksft_print_header();
	ksft_set_plan(4);
	REPORT(fresh_copy_is_filled);
	REPORT(broken_connection_is_gone_on_with);
	REPORT(killed_copy_claims_nothing);
	REPORT(another_volume_is_refused);
	shell("losetup -d %s; rm -r %s", device, folder);
	ksft_finished();
}
