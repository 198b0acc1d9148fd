// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Links: a socket comes in by file descriptor, two threads work on it, and when
 * it fails everything it held is given back.
 *
 * What the threads do stands in stream.c (primary) and replica.c (replica).
 */
#include <linux/kthread.h>
#include <linux/mm.h>
#include <linux/vmalloc.h>
#include <net/sock.h>
#include <net/tcp.h>

#include "lag.h"
#include "trace.h"

static atomic_t link_ids;
static struct workqueue_struct *reap_wq;

static void link_tell(struct blkcast_link *l, enum blkcast_link_state from,
		      enum blkcast_link_state to)
{
	struct blkcast_volume *v = l->vol;

	if (from == BLKCAST_LINK_IN_SYNC && to == BLKCAST_LINK_RESYNC)
		blkcast_event(v, BLKCAST_EVENT_LINK_BEHIND, l->name, 0);
	if (to == BLKCAST_LINK_RESYNC)
		blkcast_event(v, BLKCAST_EVENT_RESYNC_BEGIN, l->name, 0);
	if (from == BLKCAST_LINK_RESYNC && to > from)
		blkcast_event(v, BLKCAST_EVENT_RESYNC_END, l->name, 0);
	if (to == BLKCAST_LINK_IN_SYNC)
		blkcast_event(v, l->apart ? BLKCAST_EVENT_CAUGHT_UP :
					    BLKCAST_EVENT_LINK_IN_SYNC, l->name, 0);
}

/* Caller holds vol->lock. */
void blkcast_link_set_state(struct blkcast_link *l, enum blkcast_link_state to)
{
	struct blkcast_volume *v = l->vol;
	enum blkcast_link_state from = l->state;

	lockdep_assert_held(&v->lock);
	if (from == to)
		return;
	trace_blkcast_link_state(v->minor, l->id, from, to);
	l->state = to;
	/* Who waits for it may have done so for long: it has all its time from here. */
	l->progress_when = ktime_get_ns();
	if (to < BLKCAST_LINK_JOINING)
		blkcast_repair_behind(l);
	if (from == BLKCAST_LINK_IN_SYNC || from == BLKCAST_LINK_JOINING)
		if (to != BLKCAST_LINK_IN_SYNC)
			blkcast_members_leave(l);
	blkcast_policy_update(v);
	if (to == BLKCAST_LINK_RESYNC) {
		l->resync_start = ktime_get_ns();
		l->resynced = 0;
	}
	link_tell(l, from, to);
	wake_up(&l->wake);
}

/* The first reason counts: is it this?  Caller holds vol->lock. */
static bool link_fail_locked(struct blkcast_link *l, int error)
{
	bool first = !l->error;

	lockdep_assert_held(&l->vol->lock);
	if (first) {
		l->error = error;
		blkcast_lag_fail(l);
		l->next = NULL;
		l->unreceived = NULL;
		l->unapplied = NULL;
		blkcast_link_set_state(l, BLKCAST_LINK_DOWN);
		blkcast_log_trim(l->vol);
		queue_work(reap_wq, &l->reap);
	}
	wake_up_all(&l->wake);
	return first;
}

/**
 * blkcast_link_fail() - end a link
 * @l: the link
 * @error: negative errno
 *
 * Any context, without vol->lock.  Returns at once; nothing waits for the link
 * from now on.
 *
 * Return: whether this is why it ends.
 */
bool blkcast_link_fail(struct blkcast_link *l, int error)
{
	struct blkcast_volume *v = l->vol;
	unsigned long flags;
	bool first;

	spin_lock_irqsave(&v->lock, flags);
	first = link_fail_locked(l, error);
	spin_unlock_irqrestore(&v->lock, flags);
	return first;
}

/* The end of both threads: fail the link and wait to be joined. */
int blkcast_link_park(struct blkcast_link *l, int error)
{
	blkcast_link_fail(l, error);
	for (;;) {
		set_current_state(TASK_INTERRUPTIBLE);
		if (kthread_should_stop())
			break;
		schedule();
	}
	__set_current_state(TASK_RUNNING);
	return 0;
}

static void link_free(struct blkcast_link *l)
{
	sockfd_put(l->sock);
	blkcast_answers_free(l);
	blkcast_lag_free(l);
	blkcast_verify_free(l);
	blkcast_resync_free(l);
	blkcast_frame_free(l);
	kfree(l);
}

static bool link_drained(struct blkcast_link *l)
{
	bool drained;

	spin_lock_irq(&l->vol->lock);
	drained = list_empty(&l->applying) && blkcast_verify_idle(l);
	spin_unlock_irq(&l->vol->lock);
	return drained;
}

/*
 * One call of the socket returns in time, unless records of TLS come that have no content:
 * they keep the receiver in there, and the sender out, for the socket is locked.
 */
static int receiver_progress(struct blkcast_link *l)
{
	unsigned long since = READ_ONCE(l->rx_since);

	if (!(l->flags & BLKCAST_F_TLS) || !since ||
	    time_before(jiffies, since + 2 * msecs_to_jiffies(l->timeout)))
		return 0;
	vol_warn(l->vol, "link %s: nothing but empty TLS records for %u ms\n", l->name,
		 2 * l->timeout);
	return -ETIMEDOUT;
}

/* Four times in each timeout, whatever its threads wait for. */
static void link_watch(struct work_struct *work)
{
	struct blkcast_link *l = container_of(to_delayed_work(work), struct blkcast_link,
					      watch);
	int err = receiver_progress(l) ?: blkcast_stream_progress(l);

	if (err)
		blkcast_link_fail(l, err);
	else
		queue_delayed_work(blkcast_wq, &l->watch, msecs_to_jiffies(l->timeout / 4));
}

/*
 * What keeps the receiver in the socket, above, would keep us out for as long as it comes.
 * The window is shut first: nothing comes beyond what it has let in.
 */
static void socket_end(struct socket *sock)
{
	sock->sk->sk_userlocks |= SOCK_RCVBUF_LOCK;
	WRITE_ONCE(sock->sk->sk_rcvbuf, 0);
	kernel_sock_shutdown(sock, SHUT_RDWR);
}

static void link_reap(struct work_struct *work)
{
	struct blkcast_link *l = container_of(work, struct blkcast_link, reap);
	struct blkcast_volume *v = l->vol;

	cancel_delayed_work_sync(&l->watch);
	socket_end(l->sock);
	kthread_stop(l->rx);
	kthread_stop(l->tx);
	/* Rule 13: what has arrived is applied before anything else begins. */
	wait_event(l->wake, link_drained(l));
	blkcast_repair_end(l);
	blkcast_ahead_end(l);

	/* A doubt that a failure here has left survives. */
	if (l->local_error && blkcast_map_keep_doubts(v))
		vol_warn(v, "cannot record what is in doubt\n");
	spin_lock_irq(&v->lock);
	list_del(&l->node);
	blkcast_lag_end(l);
	blkcast_log_trim(v);
	spin_unlock_irq(&v->lock);
	blkcast_write_reached(v);
	vol_info(v, "link %s: down (%d)\n", l->name, l->error);
	blkcast_event(v, BLKCAST_EVENT_LINK_DOWN, l->name, -l->error);
	link_free(l);
	wake_up_all(&v->idle);
	blkcast_volume_put(v);
}

static const char *history_check(const struct blkcast_link_params *p)
{
	u32 i;

	if (!p->reigns || p->reigns > BLKCAST_HISTORY_MAX)
		return "history is missing or too long";
	for (i = 0; i < p->reigns; i++)
		if (!p->history[i].reign ||
		    (i && le32_to_cpu(p->history[i].term) <=
			  le32_to_cpu(p->history[i - 1].term)))
			return "history is not in order";
	if (le32_to_cpu(p->history[p->reigns - 1].term) != p->term)
		return "history does not end in the term";
	if (!p->term || p->term > BLKCAST_TERM_MAX)
		return "term out of range";
	return NULL;
}

/* The replica's side of the bargain: follow the primary's history. */
static int replica_follow(struct blkcast_volume *v,
			  const struct blkcast_link_params *p,
			  struct netlink_ext_ack *extack)
{
	const char *wrong = history_check(p);
	bool discard = blkcast_super_flags(v) & BLKCAST_SUPER_DISCARD;
	u32 last = blkcast_lsn_term(v->position);
	int err;

	if (wrong) {
		if (extack)
			extack->_msg = wrong;
		return -EINVAL;
	}
	/* The operator's word ends what this copy has promised its own reigns. */
	if (p->term < le32_to_cpu(v->super->term) && !discard) {
		NL_SET_ERR_MSG(extack, "a primary of a newer term has been here");
		return -ESTALE;
	}
	if (!list_empty(&v->links)) {
		NL_SET_ERR_MSG(extack, "this replica has a link already");
		return -EBUSY;
	}
	/*
	 * A flush of the stream that never came must not be missed: what is
	 * here is on stable storage before anything newer comes (rule 17).
	 */
	err = blkcast_flush(v);
	if (err) {
		NL_SET_ERR_MSG(extack, "cannot flush the backing device");
		return err;
	}
	if (last > blkcast_super_common_term(v, p->history, p->reigns)) {
		spin_lock_irq(&v->lock);
		v->position = 0;
		spin_unlock_irq(&v->lock);
	}
	err = blkcast_map_doubt_reigns(v, p->history, p->reigns) ?:
	      blkcast_super_adopt(v, p->term, p->history, p->reigns);
	if (err) {
		NL_SET_ERR_MSG(extack, "cannot write the metadata");
		return err;
	}
	spin_lock_irq(&v->lock);
	v->term = p->term;
	spin_unlock_irq(&v->lock);
	if (discard)
		blkcast_map_newest(v);
	return 0;
}

/* Caller holds vol->lock. */
struct blkcast_link *blkcast_link_find(struct blkcast_volume *v, const char *name)
{
	struct blkcast_link *l;

	lockdep_assert_held(&v->lock);
	list_for_each_entry(l, &v->links, node)
		if (!strcmp(l->name, name))
			return l;
	return NULL;
}

static struct socket *stream_socket(int fd, struct netlink_ext_ack *extack,
				    int *err)
{
	struct socket *sock = sockfd_lookup(fd, err);

	if (!sock) {
		NL_SET_ERR_MSG(extack, "not a socket");
		return NULL;
	}
	if (sock->type != SOCK_STREAM || sock->sk->sk_state != TCP_ESTABLISHED) {
		NL_SET_ERR_MSG(extack, "not a connected stream socket");
		sockfd_put(sock);
		*err = -ENOTCONN;
		return NULL;
	}
	return sock;
}

/* Kernel TLS, which user space has put on it. */
static u32 socket_flags(const struct sock *sk)
{
	bool inet = sk->sk_family == AF_INET || sk->sk_family == AF_INET6;
	const struct tcp_ulp_ops *ulp = NULL;

	if (inet && sk->sk_protocol == IPPROTO_TCP)
		ulp = inet_csk(sk)->icsk_ulp_ops;
	return ulp && !strcmp(ulp->name, "tls") ? BLKCAST_F_TLS : 0;
}

static void socket_prepare(struct blkcast_link *l)
{
	struct sock *sk = l->sock->sk;

	/* Frames that belong together are sent with MSG_MORE. */
	if (sk->sk_protocol == IPPROTO_TCP)
		tcp_sock_set_nodelay(sk);
	/*
	 * Writeback may wait for us: never wait for writeback, and where memory is
	 * all but gone neither a frame nor its acknowledgement may be what is dropped.
	 */
	sk->sk_allocation = GFP_NOIO;
	sk_set_memalloc(sk);
	sk->sk_use_task_frag = false;
	sk->sk_sndtimeo = msecs_to_jiffies(l->timeout);
	sk->sk_rcvtimeo = msecs_to_jiffies(l->timeout);
}

static struct blkcast_link *link_alloc(struct blkcast_volume *v,
				       const struct blkcast_link_params *p,
				       struct socket *sock)
{
	struct blkcast_link *l = kzalloc(sizeof(*l), GFP_KERNEL);

	if (!l)
		return NULL;
	l->vol = v;
	strscpy(l->name, p->name, sizeof(l->name));
	l->id = atomic_inc_return(&link_ids);
	l->flags = (p->flags & (BLKCAST_F_ASYNC | BLKCAST_F_READS)) |
		   socket_flags(sock->sk);
	l->term = p->term;
	l->has_node = p->node;
	if (p->node)
		memcpy(l->peer, p->node, sizeof(l->peer));
	l->timeout = p->timeout;
	l->sock = sock;
	l->state = BLKCAST_LINK_COMPARING;
	l->behind_since = ktime_get_ns();
	l->rx_when = l->behind_since;
	init_waitqueue_head(&l->wake);
	INIT_WORK(&l->reap, link_reap);
	INIT_DELAYED_WORK(&l->watch, link_watch);
	INIT_LIST_HEAD(&l->applying);
	INIT_LIST_HEAD(&l->hashed);
	INIT_LIST_HEAD(&l->answers);
	INIT_LIST_HEAD(&l->reads_due);
	INIT_LIST_HEAD(&l->reads_sent);
	socket_prepare(l);
	return l;
}

static int link_threads_create(struct blkcast_link *l)
{
	bool primary = l->vol->role == BLKCAST_ROLE_PRIMARY;

	l->tx = kthread_create(primary ? blkcast_stream_tx : blkcast_replica_tx,
			       l, "blkcast-tx/%u", l->vol->minor);
	if (IS_ERR(l->tx))
		return PTR_ERR(l->tx);
	l->rx = kthread_create(primary ? blkcast_stream_rx : blkcast_replica_rx,
			       l, "blkcast-rx/%u", l->vol->minor);
	if (IS_ERR(l->rx)) {
		kthread_stop(l->tx);
		return PTR_ERR(l->rx);
	}
	return 0;
}

static int link_memory(struct blkcast_link *l)
{
	struct blkcast_volume *v = l->vol;
	int err = blkcast_lag_init(l);

	if (err || v->role != BLKCAST_ROLE_PRIMARY)
		return err;
	return blkcast_repairs_init(v) ?: blkcast_resync_init(l);
}

/* What is durable, hence last: a link that does not come about leaves nothing of it. */
static int role_prepare(struct blkcast_volume *v, const struct blkcast_link_params *p,
			struct netlink_ext_ack *extack)
{
	int err;

	if (v->role == BLKCAST_ROLE_REPLICA && v->detached) {
		NL_SET_ERR_MSG(extack, "its device has been detached: take it down");
		return -ENODEV;
	}
	if (v->role == BLKCAST_ROLE_REPLICA)
		return replica_follow(v, p, extack);
	if (p->term != v->term) {
		NL_SET_ERR_MSG(extack, "not the term of this primary");
		return -ESTALE;
	}
	if (v->deposed) {
		NL_SET_ERR_MSG(extack, "a primary of a newer term has deposed this one");
		return -ESTALE;
	}
	/* reign.c, inv. 1.  With a device that fails or is detached the first one has come. */
	err = READ_ONCE(v->failing) || v->detached ? 0 : blkcast_super_set_heir(v, NULL);
	if (err)
		NL_SET_ERR_MSG(extack, "cannot write the metadata");
	return err;
}

/**
 * blkcast_link_add() - put a connected socket to work
 * @v: the volume
 * @p: what the daemons have agreed, and the socket
 * @extack: takes the reason of a refusal
 *
 * Caller holds vol->admin.  The socket is ours only if this returns 0.
 * Errors: see LINK_ADD in uapi/blkcast_netlink.h.
 */
int blkcast_link_add(struct blkcast_volume *v,
		     const struct blkcast_link_params *p,
		     struct netlink_ext_ack *extack)
{
	struct blkcast_link *l;
	struct socket *sock;
	bool taken;
	int err;

	lockdep_assert_held(&v->admin);
	spin_lock_irq(&v->lock);
	taken = blkcast_link_find(v, p->name);
	spin_unlock_irq(&v->lock);
	if (taken) {
		NL_SET_ERR_MSG(extack, "a link of this name exists");
		return -EEXIST;
	}
	sock = stream_socket(p->fd, extack, &err);
	if (!sock)
		return err;
	l = link_alloc(v, p, sock);
	if (!l) {
		sockfd_put(sock);
		return -ENOMEM;
	}
	err = link_memory(l) ?: link_threads_create(l);
	if (err)
		goto out_free;
	err = role_prepare(v, p, extack);
	if (err)
		goto out_stop;
	kref_get(&v->refs);
	vol_info(v, "link %s: up, term %u\n", l->name, l->term);
	blkcast_event(v, BLKCAST_EVENT_LINK_UP, l->name, 0);
	/* Under the lock it cannot fail, hence not be freed, before both run. */
	spin_lock_irq(&v->lock);
	blkcast_members_meet(l);
	list_add_tail(&l->node, &v->links);
	if (l->dirty)
		blkcast_lag_begin(l);
	blkcast_log_keep(v, v->role == BLKCAST_ROLE_PRIMARY);
	queue_delayed_work(blkcast_wq, &l->watch, 0);
	wake_up_process(l->rx);
	wake_up_process(l->tx);
	spin_unlock_irq(&v->lock);
	return 0;

out_stop:
	kthread_stop(l->rx);
	kthread_stop(l->tx);
out_free:
	link_free(l);
	return err;
}

static bool link_gone(struct blkcast_volume *v, const char *name)
{
	bool gone;

	spin_lock_irq(&v->lock);
	gone = name ? !blkcast_link_find(v, name) : list_empty(&v->links);
	spin_unlock_irq(&v->lock);
	return gone;
}

/* Fail one link, or all if @name is NULL, and wait until they are gone. */
static void links_end(struct blkcast_volume *v, const char *name)
{
	struct blkcast_link *l;

	spin_lock_irq(&v->lock);
	list_for_each_entry(l, &v->links, node)
		if (!name || !strcmp(l->name, name))
			link_fail_locked(l, -ECONNABORTED);
	spin_unlock_irq(&v->lock);
	wait_event(v->idle, link_gone(v, name));
}

int blkcast_link_del(struct blkcast_volume *v, const char *name)
{
	lockdep_assert_held(&v->admin);
	if (link_gone(v, name))
		return -ENOENT;
	links_end(v, name);
	return 0;
}

/* Caller holds vol->admin, so no new one comes. */
void blkcast_links_drop(struct blkcast_volume *v)
{
	lockdep_assert_held(&v->admin);
	links_end(v, NULL);
}

int __init blkcast_links_init(void)
{
	reap_wq = alloc_workqueue("blkcast-reap", WQ_UNBOUND | WQ_MEM_RECLAIM, 0);
	return reap_wq ? 0 : -ENOMEM;
}

void blkcast_links_exit(void)
{
	destroy_workqueue(reap_wq);
}
