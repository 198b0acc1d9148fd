/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the targets have in common.  A target writes its own seeds, made by the code
 * that it tests: with FUZZ_SEEDS=FOLDER it does that and ends.
 */
#ifndef FUZZ_H
#define FUZZ_H

#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "tools/lib/util.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int LLVMFuzzerInitialize(int *argc, char ***argv);
size_t LLVMFuzzerMutate(uint8_t *data, size_t size, size_t max);
size_t LLVMFuzzerCustomMutator(uint8_t *data, size_t size, size_t max, unsigned int seed);

/* What must hold whatever the input: a finding otherwise. */
#define MUST(condition) do {							\
	if (!(condition)) {							\
		fprintf(stderr, "%s:%d: MUST(%s)\n", __FILE__, __LINE__, #condition); \
		abort();							\
	}									\
} while (0)

/* One line that neither a terminal nor a log takes for anything else. */
static inline bool fuzz_printable(const char *text)
{
	for (; *text; text++) {
		if (*text < 0x20 || *text > 0x7e)
			return false;
	}
	return true;
}

static inline void fuzz_put_file(const char *path, const void *data, size_t size)
{
	int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);

	MUST(fd >= 0 && !bc_write_full(fd, data, size));
	close(fd);
}

static inline void fuzz_put_seed(const char *name, const void *data, size_t size)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", getenv("FUZZ_SEEDS"), name);
	fuzz_put_file(path, data, size);
}

/* Words that libFuzzer puts in here and there. */
static inline void fuzz_put_dictionary(const char * const *words, size_t count)
{
	char path[4096];
	FILE *out;

	snprintf(path, sizeof(path), "%s/../dictionary", getenv("FUZZ_SEEDS"));
	out = fopen(path, "w");
	MUST(out);
	for (size_t i = 0; i < count; i++)
		fprintf(out, "\"%s\"\n", words[i]);
	fclose(out);
}

/* For LLVMFuzzerInitialize(). */
static inline void fuzz_make_seeds(void (*make)(void))
{
	if (!getenv("FUZZ_SEEDS"))
		return;
	make();
	exit(0);
}

#endif /* FUZZ_H */
