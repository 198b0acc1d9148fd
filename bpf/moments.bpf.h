/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Two moments of each write under way, so that its time can be divided: of a volume,
 * LSN given and written; of a link, sent and received.
 *
 * They have their place by the LSN and make room for a later write: nothing has to be
 * looked for or removed.  The first takes the place; of two that meet there one is
 * lost, and who asks for it is told so.
 */

/* A power of two. */
const volatile __u32 lag_moments_count = CAUSES_MOMENTS;

struct moments {
	__u64 lsn;
	__u32 minor;
	__u32 link;
	__u64 first;
	__u64 second;
};

struct {
	__uint(type, BPF_MAP_TYPE_ARRAY);
	__uint(max_entries, CAUSES_MOMENTS);
	__type(key, __u32);
	__type(value, struct moments);
} lag_moments SEC(".maps");

/* Those of a volume's links are far from each other. */
static __always_inline struct moments *moments_at(const struct event *e)
{
	__u32 place = (__u32)e->lsn + lag_home(e->minor, e->link) * 0x9e3779b1;

	place &= lag_moments_count - 1;
	return bpf_map_lookup_elem(&lag_moments, &place);
}

/* NULL: pushed out, or not seen. */
static __always_inline struct moments *moments_of(const struct event *e)
{
	struct moments *m = moments_at(e);

	return m && m->lsn == e->lsn && m->minor == e->minor && m->link == e->link ? m : NULL;
}

static __always_inline void moment_first(const struct event *e, __u64 when)
{
	struct moments *m = moments_at(e);

	if (!m)
		return;
	m->lsn = e->lsn;
	m->minor = e->minor;
	m->link = e->link;
	m->first = when;
	m->second = 0;
}

static __always_inline void moment_second(const struct event *e, __u64 when)
{
	struct moments *m = moments_of(e);

	if (m)
		m->second = when;
}

/*
 * When the news of a write's receipt would have been here if the replica had read and
 * answered at once: what is beyond the round trip is the replica's, not the network's.
 * Who was not seen when it left counts as sent at once.
 */
static __always_inline __u64 received_at(const struct event *e, __u64 now, __u64 echoed,
					 __u64 held)
{
	const struct moments *m = moments_of(e);
	__u64 sent = m ? m->first : e->start, at = now - held;

	if (!echoed)
		return now;
	if (sent > echoed)
		at += sent - echoed;
	return at < now ? at : now;
}
