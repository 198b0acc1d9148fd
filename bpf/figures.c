// SPDX-License-Identifier: GPL-2.0-or-later
/* One look at the state of things; see figures.h. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "config.h"
#include "figures.h"
#include "util.h"

#define PROBES_NOT_TRIED (LAG_MINOR_ANY - 1)

/* What is kept of a volume that went down, or of a peer: forever, it is small. */
static struct track *track_get(struct figures *figures, const char *volume, const char *peer)
{
	struct track *track;

	for (track = figures->tracks; track; track = track->next)
		if (!strcmp(track->volume, volume) && !strcmp(track->peer, peer))
			return track;
	track = calloc(1, sizeof(*track));
	if (!track)
		return NULL;
	snprintf(track->volume, sizeof(track->volume), "%s", volume);
	snprintf(track->peer, sizeof(track->peer), "%s", peer);
	track->next = figures->tracks;
	figures->tracks = track;
	return track;
}

static void tracks_free(struct figures *figures)
{
	struct track *next;

	for (struct track *track = figures->tracks; track; track = next) {
		next = track->next;
		free(track);
	}
}

static bool is_wanted(const struct figures *figures, const char *volume)
{
	return !figures->name || !strcmp(figures->name, volume);
}

static unsigned int links_known(const struct figures *figures)
{
	unsigned int links = 0;

	for (size_t i = 0; i < figures->raw_count; i++)
		links += figures->raw[i].links + 1;
	return links;
}

/*
 * Attach, or note why not, once for each minor: a volume that came up anew may
 * have another one.
 */
static void probes_follow(struct figures *figures)
{
	bool causes = figures->want.slow_ns || figures->want.top;
	uint32_t minor = LAG_MINOR_ANY;
	struct probes_want want = {
		.links = links_known(figures),
		.slow_ns = figures->want.slow_ns,
		.top = figures->want.top,
	};

	if (!figures->want.probes || (figures->name && !figures->volumes))
		return;
	if (figures->name)
		minor = figures->volume[0].volume->minor;
	if (figures->probes_minor == minor)
		return;
	causes_close(figures->causes);
	probes_close(figures->probes);
	figures->probes = NULL;
	figures->causes = NULL;
	figures->probes_minor = minor;
	figures->note[0] = '\0';
	want.minor = minor;
	if (!probes_open(&figures->probes, &want, figures->note, sizeof(figures->note)) && causes)
		causes_open(&figures->causes, figures->probes, figures->note,
			    sizeof(figures->note));
}

/*
 * What came since the look before, or since the first.  A counter that went
 * back belongs to a new life of the volume: nothing is known then.
 */
static void count_writes(const struct figures *figures, struct figures_volume *volume,
			 struct track *track)
{
	const struct bc_volume *raw = volume->volume;
	bool known = bc_known(raw, BLKCAST_A_WRITES) && bc_known(raw, BLKCAST_A_WRITE_BYTES);

	if (!known || raw->writes < track->writes || raw->write_bytes < track->bytes)
		track->seen = false;
	volume->rates = known && track->seen;
	if (!track->seen) {
		track->first_writes = raw->writes;
		track->first_bytes = raw->write_bytes;
	}
	volume->writes = raw->writes - (figures->total ? track->first_writes : track->writes);
	volume->bytes = raw->write_bytes - (figures->total ? track->first_bytes : track->bytes);
	track->seen = known;
	track->writes = raw->writes;
	track->bytes = raw->write_bytes;
}

static int add_volume(struct figures *figures, const struct bc_volume *raw)
{
	struct track *track = track_get(figures, raw->name, "");
	struct figures_volume *volume = reallocarray(figures->volume, figures->volumes + 1,
						     sizeof(*volume));

	if (volume)
		figures->volume = volume;
	if (!volume || !track)
		return -ENOMEM;
	volume += figures->volumes++;
	volume->volume = raw;
	count_writes(figures, volume, track);
	return 0;
}

static const struct bc_link *lag_of(const struct bc_volume *volume,
				    const struct bc_link *link, const char *peer)
{
	static const struct bc_link unknown;

	if (link)
		return link;
	for (uint32_t i = 0; i < volume->aways; i++)
		/* analyzer: a name in a link that there is, or in the configuration */
		if (!strcmp(volume->away[i].name, peer))
			return &volume->away[i];
	return &unknown;
}

static int add_link(struct figures *figures, const struct bc_volume *volume,
		    const struct bc_link *raw, const char *peer)
{
	struct track *track = track_get(figures, volume->name, peer);
	struct figures_link *link = reallocarray(figures->link, figures->links + 1,
						 sizeof(*link));

	if (link)
		figures->link = link;
	if (!link || !track)
		return -ENOMEM;
	link += figures->links++;
	link->volume = volume;
	link->link = raw;
	link->lag = lag_of(volume, raw, peer);
	snprintf(link->peer, sizeof(link->peer), "%s", peer);
	link->track = track;
	history_add(&track->lag, figures_lag(link));
	return 0;
}

static bool has_link(const struct bc_volume *volume, const char *peer)
{
	for (uint32_t i = 0; i < volume->links; i++)
		if (!strcmp(volume->link[i].name, peer))
			return true;
	return false;
}

/* Peers that the configuration names but the kernel does not know. */
static int add_disconnected(struct figures *figures, const struct bc_volume *volume)
{
	struct bc_volume_config config;
	struct bc_error error;
	int err = bc_volume_config_load(&config, volume->name, &error);

	if (err == -ENOENT)
		return 0;
	if (err) {
		snprintf(figures->config_note, sizeof(figures->config_note), "%s", error.text);
		return 0;
	}
	for (size_t i = 0; i < config.links && !err; i++)
		if (!has_link(volume, config.link[i].peer))
			err = add_link(figures, volume, NULL, config.link[i].peer);
	bc_volume_config_release(&config);
	return err;
}

static int add_links(struct figures *figures, const struct bc_volume *volume)
{
	int err = 0;

	for (uint32_t i = 0; i < volume->links && !err; i++)
		err = add_link(figures, volume, &volume->link[i], volume->link[i].name);
	return err ? err : add_disconnected(figures, volume);
}

static bool is_alive(uint32_t minor, uint32_t link, void *arg)
{
	const struct figures *figures = arg;

	for (size_t i = 0; i < figures->raw_count; i++) {
		const struct bc_volume *volume = &figures->raw[i];

		if (volume->minor != minor)
			continue;
		if (link == LAG_LINK_NONE)
			return true;
		for (uint32_t j = 0; j < volume->links; j++)
			if (volume->link[j].id == link)
				return true;
	}
	return false;
}

static void look_begin(struct figures *figures)
{
	uint64_t now = bc_now_ns();

	clock_gettime(CLOCK_REALTIME, &figures->wall);
	figures->elapsed = figures->taken ? now - figures->taken : 0;
	figures->taken = now;
	if (!figures->started)
		figures->started = now;
	figures->volumes = 0;
	figures->links = 0;
	figures->config_note[0] = '\0';
	bc_volumes_free(figures->raw, figures->raw_count);
	figures->raw = NULL;
	figures->raw_count = 0;
}

static int read_probes(struct figures *figures, struct bc_error *error)
{
	int err;

	if (!figures->probes)
		return 0;
	err = probes_read(figures->probes);
	if (err)
		return bc_fail_errno(error, err, "cannot read the histograms of the probes");
	probes_sweep(figures->probes, is_alive, figures);
	err = figures->causes ? causes_read(figures->causes) : 0;
	if (err)
		return bc_fail_errno(error, err, "cannot read what the probes have recorded");
	return 0;
}

int figures_update(struct figures *figures, struct bc_error *error)
{
	int err;

	look_begin(figures);
	err = bc_kernel_get_all(figures->kernel, &figures->raw, &figures->raw_count, error);
	if (err)
		return err;
	for (size_t i = 0; i < figures->raw_count; i++) {
		const struct bc_volume *raw = &figures->raw[i];

		if (!is_wanted(figures, raw->name))
			continue;
		err = add_volume(figures, raw);
		if (!err)
			err = add_links(figures, raw);
		if (err)
			return bc_fail_errno(error, err, "cannot hold the figures");
	}
	probes_follow(figures);
	return read_probes(figures, error);
}

int figures_open(struct figures *figures, const char *name,
		 const struct figures_want *want, struct bc_error *error)
{
	int err;

	memset(figures, 0, sizeof(*figures));
	figures->name = name;
	figures->want = *want;
	figures->probes_minor = PROBES_NOT_TRIED;
	err = bc_kernel_open(&figures->kernel, error);
	if (err)
		return err;
	err = figures_update(figures, error);
	if (!err && name && !figures->volumes)
		err = bc_fail(error, -ENODEV,
			      "volume %s: not up on this host; see 'blkcast status' for those that are",
			      name);
	if (err)
		figures_close(figures);
	return err;
}

void figures_close(struct figures *figures)
{
	causes_close(figures->causes);
	probes_close(figures->probes);
	bc_volumes_free(figures->raw, figures->raw_count);
	bc_kernel_close(figures->kernel);
	tracks_free(figures);
	free(figures->volume);
	free(figures->link);
	memset(figures, 0, sizeof(*figures));
}

const struct histogram *figures_latency(const struct figures *figures, uint32_t minor,
					uint32_t link, enum lag_stage stage)
{
	static const struct histogram nothing;
	const struct probes_series *series;

	if (!figures->probes)
		return NULL;
	series = probes_find(figures->probes, minor, link, stage);
	if (!series)
		return &nothing;
	return figures->total ? &series->total : &series->interval;
}

uint64_t figures_span(const struct figures *figures)
{
	return figures->total ? figures->taken - figures->started : figures->elapsed;
}

uint64_t figures_lag(const struct figures_link *link)
{
	return bc_known(link->lag, BLKCAST_L_LAG_NS) ? link->lag->lag_ns : HISTORY_UNKNOWN;
}

static void breakdown_of_kernel(struct breakdown *b, const struct bc_link *link)
{
	b->known = bc_known(link, BLKCAST_L_RTT_NS) && bc_known(link, BLKCAST_L_QUEUE_NS) &&
		   bc_known(link, BLKCAST_L_APPLY_NS) && link->queue_ns;
	b->ns[BREAKDOWN_QUEUED] = link->queue_ns;
	b->ns[BREAKDOWN_NETWORK] = link->rtt_ns;
	b->ns[BREAKDOWN_APPLY] = link->apply_ns;
}

void figures_breakdown(const struct figures *figures, const struct figures_link *link,
		       struct breakdown *b)
{
	uint32_t minor = link->volume->minor;
	const struct histogram *sent, *received, *applied;

	memset(b, 0, sizeof(*b));
	if (!link->link || !bc_known(link->link, BLKCAST_L_ID))
		return;
	if (!figures->probes) {
		breakdown_of_kernel(b, link->link);
		return;
	}
	sent = figures_latency(figures, minor, link->link->id, LAG_STAGE_SENT);
	received = figures_latency(figures, minor, link->link->id, LAG_STAGE_RECEIVED);
	applied = figures_latency(figures, minor, link->link->id, LAG_STAGE_APPLIED);
	if (applied->count)
		breakdown_of_means(b, histogram_mean(sent), histogram_mean(received),
				   histogram_mean(applied));
}

static const struct bc_volume *volume_of_minor(const struct figures *figures, uint32_t minor)
{
	for (size_t i = 0; i < figures->raw_count; i++)
		if (figures->raw[i].minor == minor)
			return &figures->raw[i];
	return NULL;
}

const char *figures_volume_name(const struct figures *figures, uint32_t minor)
{
	const struct bc_volume *volume = volume_of_minor(figures, minor);

	return volume ? volume->name : NULL;
}

const char *figures_peer_name(const struct figures *figures, uint32_t minor, uint32_t link)
{
	const struct bc_volume *volume = volume_of_minor(figures, minor);

	for (uint32_t i = 0; volume && i < volume->links; i++)
		if (volume->link[i].id == link)
			return volume->link[i].name;
	return NULL;
}

uint64_t figures_lost(const struct figures *figures)
{
	return (figures->probes ? probes_lost(figures->probes) : 0) +
	       (figures->causes ? causes_lost(figures->causes) : 0);
}

const char *figures_state(const struct figures_link *link)
{
	if (!link->link)
		return "disconnected";
	if (!bc_known(link->link, BLKCAST_L_STATE))
		return "?";
	return bc_link_state_name(link->link->state);
}
