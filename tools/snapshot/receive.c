// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Filling a copy from a connection (see receive.h).
 */
#include "commands.h"
#include "extract.h"
#include "output.h"
#include "pool.h"
#include "receive.h"

static int extract_all(struct reader *reader, struct target *target, bool quiet,
		       struct bc_error *error)
{
	struct progress progress;
	const struct extract_plan plan = {
		.reader = reader, .target = target, .progress = &progress,
		.threads = pool_cpus() < THREADS_MAX ? pool_cpus() : THREADS_MAX,
		.journal = target_journal,
	};
	int err = target_begin(target, reader, error);

	if (err)
		return err;
	progress_start(&progress, "join: content", reader_covers(reader), quiet);
	err = extract_chunks(&plan, error);
	progress_end(&progress);
	return err ? err : target_finish(target, reader, true, error);
}

static int receive(struct target *target, int socket, const char *from, bool quiet,
		   struct received *received, struct bc_error *error)
{
	struct output output = { .path = from, .fd = socket };
	struct reader reader;
	int err = have_send(&target->have, &output, error);

	if (!err)
		err = reader_open_fd(&reader, socket, from, error);
	if (err)
		return err;
	err = target_check(target, &reader, true, error);
	if (!err)
		err = extract_all(&reader, target, quiet, error);
	if (!err)
		*received = (struct received) {
			.bytes = reader_covers(&reader), .stored = reader.input.offset,
			.fuzzy = reader_fuzzy(&reader),
		};
	reader_close(&reader);
	return err;
}

int receive_volume(const char *volume, int socket, const char *from, bool quiet,
		   struct received *received, struct bc_error *error)
{
	struct target target = { .fd = -1, .raw.fd = -1 };
	int err = target_open_copy(&target, volume, error);

	if (!err)
		err = receive(&target, socket, from, quiet, received, error);
	target_close(&target);
	return err;
}
