// SPDX-License-Identifier: GPL-2.0-or-later
#include <ctype.h>
#include <errno.h>
#include <inttypes.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <time.h>
#include <unistd.h>
#include <uuid/uuid.h>

#include "blkcast_disk.h"
#include "util.h"

int bc_pread_full(int fd, void *data, size_t len, uint64_t offset)
{
	uint8_t *at = data;

	while (len) {
		ssize_t n = pread(fd, at, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		at += n;
		offset += n;
		len -= n;
	}
	return 0;
}

int bc_pwrite_full(int fd, const void *data, size_t len, uint64_t offset)
{
	const uint8_t *at = data;

	while (len) {
		ssize_t n = pwrite(fd, at, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		at += n;
		offset += n;
		len -= n;
	}
	return 0;
}

int bc_write_full(int fd, const void *data, size_t len)
{
	const uint8_t *at = data;

	while (len) {
		ssize_t n = write(fd, at, len);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return n ? -errno : -EIO;
		at += n;
		len -= n;
	}
	return 0;
}

bool bc_name_valid(const char *name)
{
	size_t len = strlen(name);

	if (!len || len >= BLKCAST_NAME_MAX || *name == '.' || *name == '-')
		return false;
	for (; *name; name++) {
		if (!isascii(*name) || (!isalnum(*name) && !strchr("._-", *name)))
			return false;
	}
	return true;
}

static int unit_shift(const char *unit)
{
	static const char units[] = "KMGTP";
	const char *at;

	if (!*unit || !strcmp(unit, "B"))
		return 0;
	at = strchr(units, toupper(*unit));
	if (!at)
		return -EINVAL;
	if (unit[1] && strcmp(unit + 1, "iB") && strcmp(unit + 1, "i") &&
	    strcmp(unit + 1, "B"))
		return -EINVAL;
	return 10 * (at - units + 1);
}

int bc_size_parse(const char *text, uint64_t *bytes)
{
	long double value;
	char *end;
	int shift;

	if (!isdigit(*text))
		return -EINVAL;
	value = strtold(text, &end);
	while (*end == ' ')
		end++;
	shift = unit_shift(end);
	if (shift < 0 || !isfinite(value))
		return -EINVAL;
	value = ldexpl(value, shift);
	if (value >= 0x1p63L || value != floorl(value))
		return -ERANGE;
	*bytes = value;
	return 0;
}

char *bc_size_format(uint64_t bytes, char text[BC_SIZE_TEXT])
{
	static const char * const units[] = {
		"B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"
	};
	double value = bytes;
	size_t unit = 0;

	for (; value >= 1024 && unit + 1 < BC_ARRAY_SIZE(units); unit++)
		value /= 1024;
	if (value == floor(value) || value >= 100)
		snprintf(text, BC_SIZE_TEXT, "%.0f %s", value, units[unit]);
	else
		snprintf(text, BC_SIZE_TEXT, "%.1f %s", value, units[unit]);
	return text;
}

char *bc_duration_format(uint64_t ns, char text[BC_SIZE_TEXT])
{
	uint64_t seconds = ns / 1000000000;

	if (!ns)
		snprintf(text, BC_SIZE_TEXT, "0 s");
	else if (ns < 1000000)
		snprintf(text, BC_SIZE_TEXT, "%.2f ms", ns / 1e6);
	else if (seconds < 1)
		snprintf(text, BC_SIZE_TEXT, "%.0f ms", ns / 1e6);
	else if (seconds < 60)
		snprintf(text, BC_SIZE_TEXT, "%.1f s", ns / 1e9);
	else if (seconds < 3600)
		snprintf(text, BC_SIZE_TEXT, "%" PRIu64 " min %" PRIu64 " s",
			 seconds / 60, seconds % 60);
	else
		snprintf(text, BC_SIZE_TEXT, "%" PRIu64 " h %" PRIu64 " min",
			 seconds / 3600, seconds / 60 % 60);
	return text;
}

int bc_uuid_parse(const char *text, uint8_t uuid[16])
{
	return uuid_parse(text, uuid) ? -EINVAL : 0;
}

char *bc_uuid_format(const uint8_t uuid[16], char text[BC_UUID_TEXT])
{
	uuid_unparse_lower(uuid, text);
	return text;
}

void bc_uuid_generate(uint8_t uuid[16])
{
	uuid_generate_random(uuid);
}

bool bc_uuid_is_null(const uint8_t uuid[16])
{
	return uuid_is_null(uuid);
}

void bc_random(void *data, size_t len)
{
	uint8_t *at = data;

	while (len) {
		ssize_t n = getrandom(at, len, 0);

		if (n < 0 && errno == EINTR)
			continue;
		if (n < 0)
			abort();
		at += n;
		len -= n;
	}
}

uint64_t bc_now_ns(void)
{
	struct timespec now;

	clock_gettime(CLOCK_MONOTONIC, &now);
	return (uint64_t)now.tv_sec * 1000000000 + now.tv_nsec;
}

int bc_duration_parse(const char *text, uint64_t *ns)
{
	static const struct { const char *unit; double ns; } units[] = {
		{ "ns", 1 }, { "us", 1e3 }, { "ms", 1e6 }, { "s", 1e9 }, { "m", 60e9 },
		{ "h", 3600e9 },
	};
	char *end;
	double value = strtod(text, &end);

	for (size_t i = 0; end > text && i < BC_ARRAY_SIZE(units); i++) {
		if (strcmp(end, units[i].unit))
			continue;
		value *= units[i].ns;
		if (!(value >= 0 && value < 1e18))
			return -ERANGE;
		*ns = value;
		return 0;
	}
	return -EINVAL;
}
