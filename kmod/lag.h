/* SPDX-License-Identifier: GPL-2.0-or-later */
#ifndef _BLKCAST_LAG_H
#define _BLKCAST_LAG_H

#include "link.h"

/* The stages that a write passes behind being queued. */
enum blkcast_lag_stage {
	BLKCAST_LAG_SENT,
	BLKCAST_LAG_RECEIVED,
	BLKCAST_LAG_APPLIED,
	BLKCAST_LAG_DURABLE,
	BLKCAST_LAG_STAGES,
};

/**
 * struct blkcast_lag - what has not passed a stage
 * @known: false: nobody can tell; the rest means nothing
 * @ns: age of the oldest write; 0: there is none
 * @writes: how many, of those in the backlog
 * @bytes: of these
 */
struct blkcast_lag {
	bool known;
	u64 ns, writes, bytes;
};

/**
 * struct blkcast_away - what is remembered of a replica whose link has ended
 * @node: in vol->away from the moment at which the link fails, the newest first;
 *	until it is gone link->away is the same
 * @known: the rest is meant
 * @spilled: some of what it lacks is in no backlog: it counts in seconds alone
 * @since: ktime_get_ns() of the oldest write it lacks; 0: it lacks none
 * @writes: vol->logged_writes before that
 * @bytes: vol->logged_bytes before that
 * @applied: LSN that it had applied, as acknowledged
 * @heard: ktime_get_ns() of the last sign of life
 */
struct blkcast_away {
	struct list_head node;
	char name[BLKCAST_NAME_MAX];
	bool known, spilled;
	u64 since, writes, bytes;
	u64 applied, heard;
};

void blkcast_lag_get(const struct blkcast_link *l, u64 now,
		     struct blkcast_lag lags[BLKCAST_LAG_STAGES]);
void blkcast_lag_get_away(const struct blkcast_volume *v,
			  const struct blkcast_away *a, u64 now,
			  struct blkcast_lag *lag);
u64 blkcast_lag_dirty_bytes(const struct blkcast_link *l);

void blkcast_lag_durable(struct blkcast_link *l);
void blkcast_lag_applied(struct blkcast_link *l, const struct blkcast_op *op);

int blkcast_lag_init(struct blkcast_link *l);
void blkcast_lag_free(struct blkcast_link *l);
void blkcast_lag_begin(struct blkcast_link *l);
void blkcast_lag_fail(struct blkcast_link *l);
void blkcast_lag_end(struct blkcast_link *l);
void blkcast_lag_log(struct blkcast_volume *v, const struct blkcast_op *op);

#endif /* _BLKCAST_LAG_H */
