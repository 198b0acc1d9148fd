// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * See expiry.h.  A line for each certificate: "own 1795680000", "ca 1795680000",
 * "peer g2 1795680000".  Written beside and renamed: readers see all of it.
 */
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "expiry.h"
#include "util.h"

static const char *file_path(char path[BC_PATH_MAX], const char *ending)
{
	snprintf(path, BC_PATH_MAX, "%s/certificates%s", bc_run_dir(), ending);
	return path;
}

/* --- peers ----------------------------------------------------------------------- */

static struct bc_expiry_peer *find_peer(const struct bc_expiry *expiry, const char *name)
{
	for (unsigned int i = 0; i < expiry->peers; i++) {
		if (!strcmp(expiry->peer[i].name, name))
			return (struct bc_expiry_peer *)&expiry->peer[i];
	}
	return NULL;
}

static void drop_peer(struct bc_expiry *expiry, struct bc_expiry_peer *peer)
{
	struct bc_expiry_peer *end = expiry->peer + expiry->peers--;

	memmove(peer, peer + 1, (char *)end - (char *)(peer + 1));
}

void bc_expiry_set_peer(struct bc_expiry *expiry, const char *name, long long ends)
{
	struct bc_expiry_peer *peer = find_peer(expiry, name);

	if (peer)
		drop_peer(expiry, peer);
	if (!ends)
		return;
	if (expiry->peers == BC_EXPIRY_PEERS)
		drop_peer(expiry, expiry->peer);
	peer = &expiry->peer[expiry->peers++];
	snprintf(peer->name, sizeof(peer->name), "%s", name);
	peer->ends = ends;
}

long long bc_expiry_peer(const struct bc_expiry *expiry, const char *name)
{
	const struct bc_expiry_peer *peer = find_peer(expiry, name);

	return peer ? peer->ends : 0;
}

/* --- the file ---------------------------------------------------------------------- */

static void take_line(struct bc_expiry *expiry, const char *line)
{
	char name[BLKCAST_NAME_MAX + 1];	/* one more: too long is no name */
	long long ends;

	_Static_assert(BLKCAST_NAME_MAX == 64, "the width below");
	if (sscanf(line, "own %lld", &ends) == 1)
		expiry->own = ends;
	else if (sscanf(line, "ca %lld", &ends) == 1)
		expiry->authority = ends;
	else if (sscanf(line, "peer %64s %lld", name, &ends) == 2 && bc_name_valid(name))
		bc_expiry_set_peer(expiry, name, ends);
}

void bc_expiry_load(struct bc_expiry *expiry)
{
	char path[BC_PATH_MAX], line[128];
	FILE *file = fopen(file_path(path, ""), "re");

	memset(expiry, 0, sizeof(*expiry));
	if (!file)
		return;
	while (fgets(line, sizeof(line), file))
		take_line(expiry, line);
	fclose(file);
}

static void print(const struct bc_expiry *expiry, FILE *file)
{
	if (expiry->own)
		fprintf(file, "own %lld\n", expiry->own);
	if (expiry->authority)
		fprintf(file, "ca %lld\n", expiry->authority);
	for (unsigned int i = 0; i < expiry->peers; i++)
		fprintf(file, "peer %s %lld\n", expiry->peer[i].name, expiry->peer[i].ends);
}

int bc_expiry_save(const struct bc_expiry *expiry, struct bc_error *error)
{
	char path[BC_PATH_MAX], temporary[BC_PATH_MAX];
	FILE *file;

	file_path(path, "");
	if (!expiry->own && !expiry->authority && !expiry->peers)
		return unlink(path) && errno != ENOENT ?
		       bc_fail_errno(error, -errno, "cannot remove %s", path) : 0;
	file = fopen(file_path(temporary, ".new"), "we");
	if (!file)
		return bc_fail_errno(error, -errno, "cannot write %s", temporary);
	print(expiry, file);
	/* Whatever the umask. */
	fchmod(fileno(file), 0644);
	if (ferror(file) | fclose(file) || rename(temporary, path)) {
		int ret = bc_fail_errno(error, -errno, "cannot write %s", path);

		unlink(temporary);
		return ret;
	}
	return 0;
}
