// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reads writes and flushes of a volume from a trace.  The flush behind a FUA
 * write has no start of its own, so flushes count from their end as well.
 */
#include <errno.h>
#include <inttypes.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "trace.h"

#define START	" blkcast_write_start: "
#define DONE	" blkcast_write_done: "

/* A line that is about something else is none; -EINVAL: one that cannot be read. */
static int line_parse(const char *line, uint32_t minor, struct lw_write *write)
{
	const char *at = strstr(line, START);
	uint64_t bytes;
	uint32_t of;

	write->sector = 0;
	if (at) {
		if (sscanf(at + strlen(START), "minor=%" SCNu32 " lsn=%" SCNu64
			   " sector=%" SCNu64 " bytes=%" SCNu64, &of, &write->lsn,
			   &write->sector, &bytes) != 4)
			return -EINVAL;
	} else {
		at = strstr(line, DONE);
		if (!at)
			return 0;
		if (sscanf(at + strlen(DONE), "minor=%" SCNu32 " lsn=%" SCNu64
			   " bytes=%" SCNu64, &of, &write->lsn, &bytes) != 3)
			return -EINVAL;
		/* The write itself is known from its start. */
		if (bytes)
			return 0;
	}
	if (bytes % 512 || bytes / 512 > UINT32_MAX)
		return -EINVAL;
	write->sectors = bytes / 512;
	/* What ended without an LSN is not in the stream. */
	return of == minor && write->lsn;
}

/* Room for one more than @n, which grows in powers of two; NULL: no memory. */
static void *list_grow(void *list, uint32_t n, size_t size)
{
	return n & (n - 1) ? list : realloc(list, (n ? 2 * (size_t)n : 1) * size);
}

static int write_add(struct lw_trace *trace, const struct lw_write *write)
{
	struct lw_write *list = list_grow(trace->writes, trace->count, sizeof(*list));

	if (!list)
		return -ENOMEM;
	trace->writes = list;
	list[trace->count++] = *write;
	return 0;
}

static int flush_add(struct lw_trace *trace, uint64_t lsn)
{
	uint64_t *list = list_grow(trace->flushes, trace->flush_count, sizeof(*list));

	if (!list)
		return -ENOMEM;
	trace->flushes = list;
	list[trace->flush_count++] = lsn;
	return 0;
}

static int lsn_compare(const void *a, const void *b)
{
	uint64_t x, y;

	/* Of a write as of a flush it stands first. */
	memcpy(&x, a, sizeof(x));
	memcpy(&y, b, sizeof(y));
	return (x > y) - (x < y);
}

static int trace_order(struct lw_trace *trace, const char *path,
		       struct bc_error *error)
{
	if (!trace->count)
		return bc_fail(error, -ENODATA, "%s: no write of the volume", path);
	qsort(trace->writes, trace->count, sizeof(*trace->writes), lsn_compare);
	for (uint32_t i = 1; i < trace->count; i++)
		if (trace->writes[i].lsn == trace->writes[i - 1].lsn)
			return bc_fail(error, -EINVAL, "%s: two writes with LSN %" PRIu64,
				       path, trace->writes[i].lsn);
	if (trace->flush_count)
		qsort(trace->flushes, trace->flush_count,
		      sizeof(*trace->flushes), lsn_compare);
	return 0;
}

int lw_trace_read(struct lw_trace *trace, const char *path, uint32_t minor,
		  struct bc_error *error)
{
	FILE *file = fopen(path, "re");
	struct lw_write write;
	char *line = NULL;
	size_t room = 0;
	int ret = 0;

	memset(trace, 0, sizeof(*trace));
	if (!file)
		return bc_fail_errno(error, -errno, "cannot read the trace %s", path);
	while (ret >= 0 && getline(&line, &room, file) > 0) {
		ret = line_parse(line, minor, &write);
		if (ret > 0)
			ret = write.sectors ? write_add(trace, &write) :
					      flush_add(trace, write.lsn);
	}
	fclose(file);
	if (ret < 0)
		bc_fail(error, ret, "%s: cannot take in: %s", path, line);
	free(line);
	return ret < 0 ? ret : trace_order(trace, path, error);
}

void lw_trace_free(struct lw_trace *trace)
{
	free(trace->writes);
	free(trace->flushes);
}

int lw_trace_join_flushes(struct lw_trace *trace, const struct lw_trace *before,
			  struct bc_error *error)
{
	uint32_t count = before->flush_count + trace->flush_count, earlier = 0;
	uint64_t *flushes = malloc((count + 1) * sizeof(*flushes));

	if (!flushes)
		return bc_fail(error, -ENOMEM, "out of memory");
	/* The cut may have lost a whole reign, whose term was then given again. */
	while (earlier < before->flush_count &&
	       before->flushes[earlier] < trace->writes[0].lsn)
		earlier++;
	if (earlier)
		memcpy(flushes, before->flushes, earlier * sizeof(*flushes));
	if (trace->flush_count)
		memcpy(flushes + earlier, trace->flushes,
		       trace->flush_count * sizeof(*flushes));
	free(trace->flushes);
	trace->flushes = flushes;
	trace->flush_count = earlier + trace->flush_count;
	return 0;
}

uint64_t lw_trace_flush_before(const struct lw_trace *trace, uint64_t lsn)
{
	uint32_t low = 0, high = trace->flush_count;

	while (low < high) {
		uint32_t middle = low + (high - low) / 2;

		if (trace->flushes[middle] < lsn)
			low = middle + 1;
		else
			high = middle;
	}
	return low ? trace->flushes[low - 1] : 0;
}
