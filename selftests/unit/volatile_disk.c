// SPDX-License-Identifier: GPL-2.0-or-later
/* The harness's volatile disk loses unflushed writes by its seed, and no others. */
#include "kselftest.h"

/* Instead of nbdkit: the plugin's own source, and what it calls. */
#include "selftests/qemu/volatile-disk.c"
#include <stdarg.h>

#define SIZE	(64 * PAGE)

void nbdkit_error(const char *format, ...)
{
	va_list args;

	va_start(args, format);
	vfprintf(stderr, format, args);
	va_end(args);
}

int nbdkit_parse_int64_t(const char *what, const char *text, int64_t *value)
{
	(void)what;
	*value = strtoll(text, NULL, 10);
	return 0;
}

int nbdkit_parse_uint64_t(const char *what, const char *text, uint64_t *value)
{
	(void)what;
	*value = strtoull(text, NULL, 10);
	return 0;
}

static int power_fails;

int nbdkit_nanosleep(unsigned int seconds, unsigned int nanoseconds)
{
	(void)seconds;
	(void)nanoseconds;
	return power_fails ? -1 : 0;
}

static char path[] = "/tmp/volatile-disk.XXXXXX";
static char image[SIZE], other[SIZE];

static void power_on(uint64_t seed, int grain, int keep)
{
	disk.path = path;
	disk.seed = seed;
	disk.grain = grain;
	disk.keep = keep;
	if (volatile_config_complete() || volatile_get_ready())
		ksft_exit_fail_msg("the disk does not start\n");
}

static void power_off(char *medium)
{
	int fd = open(path, O_RDONLY);

	volatile_unload();
	if (read(fd, medium, SIZE) != SIZE)
		ksft_exit_fail_perror(path);
	close(fd);
}

static void erase(void)
{
	int fd = open(path, O_RDWR | O_TRUNC);

	if (fd < 0 || ftruncate(fd, SIZE))
		ksft_exit_fail_perror(path);
	close(fd);
}

static void write_at(uint64_t offset, char content, size_t len, uint32_t flags)
{
	char data[SIZE];

	memset(data, content, len);
	if (volatile_pwrite(NULL, data, len, offset, flags))
		ksft_exit_fail_msg("write refused\n");
}

static char read_at(uint64_t offset)
{
	char data[SECTOR];

	if (volatile_pread(NULL, data, SECTOR, offset, 0))
		ksft_exit_fail_msg("read refused\n");
	return data[0];
}

static int sectors_with(const char *medium, char content, size_t from, size_t len)
{
	int count = 0;

	for (size_t at = from; at < from + len; at += SECTOR)
		count += medium[at] == content;
	return count;
}

static void loses_unflushed(void)
{
	erase();
	power_on(1, 512, 0);
	write_at(0, 'a', PAGE, 0);
	volatile_flush(NULL, 0);
	write_at(PAGE, 'b', PAGE, 0);
	ksft_test_result(read_at(0) == 'a' && read_at(PAGE) == 'b',
			 "reads see the cache\n");
	power_off(image);
	ksft_test_result(sectors_with(image, 'a', 0, PAGE) == 8,
			 "flushed data survive\n");
	ksft_test_result(sectors_with(image, 'b', PAGE, PAGE) == 0,
			 "unflushed data are lost with keep=0\n");
}

static void fails_when_told(void)
{
	static char sign[] = "/tmp/volatile-disk-fail.XXXXXX";
	char data[PAGE] = { 'b' };
	int fd = mkstemp(sign);

	erase();
	power_on(1, 512, 0);
	write_at(0, 'a', PAGE, 0);
	disk.fail = sign;
	ksft_test_result(volatile_pwrite(NULL, data, PAGE, 0, 0) && errno == EIO &&
			 volatile_zero(NULL, PAGE, 0, 0) && errno == EIO &&
			 volatile_flush(NULL, 0) && errno == EIO,
			 "a disk fails what is written and flushed\n");
	ksft_test_result(read_at(0) == 'a', "and is read\n");
	close(fd);
	unlink(sign);
	ksft_test_result(!volatile_flush(NULL, 0), "until it is healed\n");
	power_off(image);
	ksft_test_result(sectors_with(image, 'a', 0, PAGE) == 8,
			 "nothing is lost by that\n");
	disk.fail = NULL;
}

static void flushes_take_time(void)
{
	erase();
	disk.flush_ms = 5;
	power_on(1, 512, 0);
	write_at(0, 'a', PAGE, 0);
	volatile_flush(NULL, 0);
	write_at(PAGE, 'b', PAGE, 0);
	power_fails = 1;
	ksft_test_result(volatile_flush(NULL, 0) != 0,
			 "a flush that the cut interrupts is none\n");
	power_off(image);
	power_fails = 0;
	disk.flush_ms = 0;
	ksft_test_result(image[0] == 'a' && image[PAGE] == 0,
			 "and saves nothing\n");
}

static void fua_is_safe(void)
{
	erase();
	power_on(1, 512, 0);
	write_at(0, 'a', PAGE, 0);
	write_at(SECTOR, 'f', SECTOR, NBDKIT_FLAG_FUA);
	write_at(PAGE, 'g', PAGE, NBDKIT_FLAG_FUA);
	power_off(image);
	ksft_test_result(image[SECTOR] == 'f' && image[PAGE] == 'g',
			 "FUA writes survive\n");
	ksft_test_result(image[0] == 0 && image[2 * SECTOR] == 0,
			 "FUA saves only what it wrote\n");
}

static void lots_by_seed(void)
{
	int kept;

	for (int run = 0; run < 3; run++) {
		erase();
		power_on(run == 2 ? 8 : 7, 512, 50);
		write_at(0, 'a', 32 * PAGE, 0);
		power_off(run == 0 ? image : other);
		if (run == 1)
			ksft_test_result(!memcmp(image, other, SIZE),
					 "the same seed loses the same sectors\n");
	}
	ksft_test_result(memcmp(image, other, SIZE), "another seed, others\n");
	kept = sectors_with(image, 'a', 0, 32 * PAGE);
	ksft_test_result(kept > 64 && kept < 192, "some survive, some do not\n");
}

static void tears_by_grain(void)
{
	int torn = 0;

	for (int i = 0; i < 32; i++) {
		int kept = sectors_with(image, 'a', i * PAGE, PAGE);

		torn += kept && kept < PAGE_SECTORS;
	}
	ksft_test_result(torn > 0, "grain=512 tears pages\n");

	erase();
	power_on(7, PAGE, 50);
	write_at(0, 'a', 32 * PAGE, 0);
	power_off(image);
	torn = 0;
	for (int i = 0; i < 32; i++) {
		int kept = sectors_with(image, 'a', i * PAGE, PAGE);

		torn += kept && kept < PAGE_SECTORS;
	}
	ksft_test_result(torn == 0, "grain=4096 does not\n");
}

static void older_versions(void)
{
	int old = 0;

	erase();
	power_on(7, 512, 50);
	write_at(0, 'a', 32 * PAGE, 0);
	write_at(0, 'b', 32 * PAGE, 0);
	ksft_test_result(read_at(0) == 'b', "the newest version is read\n");
	power_off(image);
	old = sectors_with(image, 'a', 0, 32 * PAGE);
	ksft_test_result(old > 0 && sectors_with(image, 'b', 0, 32 * PAGE) > 0,
			 "an older unflushed version may be what survives\n");
}

static void zeroes_and_trims(void)
{
	erase();
	power_on(1, 512, 0);
	write_at(0, 'a', SIZE, NBDKIT_FLAG_FUA);
	volatile_zero(NULL, 4 * PAGE, 0, 0);
	ksft_test_result(read_at(0) == 0 && disk.pages[0] == &zero_page,
			 "zeroed pages cost nothing\n");
	write_at(PAGE, 'b', SECTOR, 0);
	volatile_flush(NULL, 0);
	volatile_zero(NULL, 4 * PAGE + SECTOR, 8 * PAGE, 0);
	power_off(image);
	ksft_test_result(image[0] == 0 && image[PAGE] == 'b' &&
			 image[PAGE + SECTOR] == 0 && image[4 * PAGE] == 'a',
			 "flushed zeroes survive\n");
	ksft_test_result(image[8 * PAGE] == 'a', "unflushed zeroes are lost\n");
}

int main(void)
{
	int fd = mkstemp(path);

	if (fd < 0)
		ksft_exit_fail_perror(path);
	close(fd);
	ksft_print_header();
	ksft_set_plan(21);
	loses_unflushed();
	fails_when_told();
	flushes_take_time();
	fua_is_safe();
	lots_by_seed();
	tears_by_grain();
	older_versions();
	zeroes_and_trims();
	unlink(path);
	ksft_finished();
}
