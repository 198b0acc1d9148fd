// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Frames: to and from the socket, whole or not at all.
 *
 * Sending blocks until the peer has taken the bytes, at most the link's timeout
 * without progress; so does receiving.  Any other return than 0 ends the link:
 * nobody can find the start of the next frame any more.
 *
 * By TLS frames come in records of data, cut anywhere.  Of the others, by which hands are
 * shaken again, keys changed or the connection ended, none has a place on a link.
 */
#include <linux/crc32c.h>
#include <linux/socket.h>
#include <linux/uio.h>
#include <net/sock.h>

#include "compat.h"
#include "link.h"

static const char *record_name(u8 type)
{
	switch (type) {		/* RFC 8446, B.1 */
	case 20:
		return "change of cipher";
	case 21:
		return "alert";
	case 22:
		return "handshake";
	default:
		return "unknown";
	}
}

/* A record that is not of data stays in the socket for who asks for its type, too. */
static int record_refused(struct blkcast_link *l)
{
	union {
		struct cmsghdr head;
		u8 bytes[CMSG_SPACE(sizeof(u8))];
	} control = {};
	u8 start[4], type;
	struct kvec vec = { .iov_base = start, .iov_len = sizeof(start) };
	struct msghdr msg = { .msg_control = &control, .msg_controllen = sizeof(control) };
	int n = kernel_recvmsg(l->sock, &msg, &vec, 1, sizeof(start), MSG_DONTWAIT);

	type = *(u8 *)CMSG_DATA(&control.head);
	vol_err_ratelimited(l->vol, "link %s: refused TLS record: type %u (%s): %*ph\n",
			    l->name, type, record_name(type), max(n, 0), start);
	return -EBADMSG;
}

/* What an error of the socket means; TLS gives some that are said of other things. */
static int socket_error(struct blkcast_link *l, int err)
{
	if (err == -EAGAIN)
		return -ETIMEDOUT;
	if (!(l->flags & BLKCAST_F_TLS))
		return err;
	switch (err) {
	case -EIO:
		return record_refused(l);
	case -EBADMSG:
	case -EINVAL:
	case -EMSGSIZE:
		/* Both threads may come to it. */
		if (blkcast_link_fail(l, -EBADMSG))
			vol_err_ratelimited(l->vol, "link %s: bad TLS record: damaged, or not the peer's\n",
					    l->name);
		return -EBADMSG;
	default:
		return err;
	}
}

static int send_all(struct blkcast_link *l, struct msghdr *msg,
		    int (*send)(struct socket *sock, struct msghdr *msg))
{
	while (msg_data_left(msg)) {
		int n = send(l->sock, msg);

		if (n <= 0)
			return n ? socket_error(l, n) : -EPIPE;
		l->sent_bytes += n;
	}
	return 0;
}

static u32 header_crc(const struct blkcast_frame *f)
{
	struct blkcast_frame h = *f;

	h.crc = 0;
	return ~crc32c(~0, &h, sizeof(h));
}

static void header_finish(struct blkcast_link *l, struct blkcast_frame *f)
{
	l->tx_when = f->time ? le64_to_cpu(f->time) : ktime_get_ns();
	f->magic = cpu_to_le32(BLKCAST_FRAME_MAGIC);
	f->term = cpu_to_le32(l->term);
	f->seq = cpu_to_le64(++l->tx_seq);
	f->time = cpu_to_le64(l->tx_when);
	f->crc = cpu_to_le32(header_crc(f));
}

static int send_bytes(struct blkcast_link *l, const void *head, size_t head_len,
		      const void *data, size_t len, bool more)
{
	struct msghdr msg = { .msg_flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0) };
	struct kvec vec[] = {
		{ .iov_base = (void *)head, .iov_len = head_len },
		{ .iov_base = (void *)data, .iov_len = len },
	};

	iov_iter_kvec(&msg.msg_iter, ITER_SOURCE, vec, len ? 2 : 1, head_len + len);
	return send_all(l, &msg, sock_sendmsg);
}

/**
 * blkcast_frame_send() - send a frame with data from kernel memory
 * @l: the link, of which this is the sending thread
 * @f: type, flags, lsn, sector, sectors and length are set; time if not now
 * @data: @f->length bytes
 * @more: another frame follows at once
 *
 * Return: 0 or a negative errno.
 */
int blkcast_frame_send(struct blkcast_link *l, struct blkcast_frame *f,
		       const void *data, bool more)
{
	u32 len = le32_to_cpu(f->length);

	if (len)
		f->data_crc = cpu_to_le32(~crc32c(~0, data, len));
	header_finish(l, f);
	return send_bytes(l, f, sizeof(*f), data, len, more);
}

static u32 op_data_crc(struct blkcast_op *op)
{
	u32 left = blkcast_op_bytes(op), crc = ~0;
	unsigned int i;

	for (i = 0; i < op->nr_pages; i++) {
		u32 n = min_t(u32, left, PAGE_SIZE);
		void *p = kmap_local_page(op->pages[i]);

		crc = crc32c(crc, p, n);
		kunmap_local(p);
		left -= n;
	}
	return ~crc;
}

/* Checksum of an op's data, computed by the first link that asks. */
u32 blkcast_op_crc(struct blkcast_op *op)
{
	/* Pairs with the release below: who sees crc_known sees data_crc. */
	if (!smp_load_acquire(&op->crc_known)) {
		WRITE_ONCE(op->data_crc, op_data_crc(op));
		/* Pairs with the acquire above. */
		smp_store_release(&op->crc_known, true);
	}
	return READ_ONCE(op->data_crc);
}

/*
 * Where a header may stay until the socket is through with it, as the data do; NULL:
 * nowhere for now.
 */
static struct blkcast_frame *header_place(struct blkcast_link *l)
{
	if (l->tx_page && l->tx_headers == PAGE_SIZE / sizeof(struct blkcast_frame)) {
		l->tx_headers = 0;
		if (page_count(l->tx_page) > 1)
			blkcast_frame_free(l);
	}
	if (!l->tx_page)
		l->tx_page = alloc_page(GFP_NOWAIT | __GFP_NOWARN);
	if (!l->tx_page)
		return NULL;
	return (struct blkcast_frame *)page_address(l->tx_page) + l->tx_headers++;
}

void blkcast_frame_free(struct blkcast_link *l)
{
	if (l->tx_page)
		put_page(l->tx_page);
	l->tx_page = NULL;
}

/*
 * Are its pages for the socket to keep?  One that encrypts copies them anyway; of a small
 * write it would keep more than it knows of.
 */
static bool lends(const struct blkcast_link *l, const struct blkcast_op *op)
{
	return op->lendable && !(l->flags & BLKCAST_F_TLS) &&
	       blkcast_op_bytes(op) >= PAGE_SIZE;
}

/* As blkcast_frame_send(), with a WRITE's data, from where they are if that can be. */
int blkcast_frame_send_op(struct blkcast_link *l, struct blkcast_frame *f,
			  struct blkcast_op *op, bool more)
{
	struct msghdr msg = { .msg_flags = MSG_NOSIGNAL | (more ? MSG_MORE : 0) };
	int (*send)(struct socket *, struct msghdr *) = lends(l, op) ? blkcast_sock_splice :
							sock_sendmsg;
	struct blkcast_frame *header = header_place(l);
	struct bio_vec bvecs[1 + BLKCAST_OP_PAGES];
	u32 len = blkcast_op_bytes(op);
	int err;

	f->length = cpu_to_le32(len);
	f->data_crc = cpu_to_le32(blkcast_op_crc(op));
	header_finish(l, f);
	blkcast_op_bvecs(op, bvecs + 1);
	if (header) {
		*header = *f;
		bvec_set_page(&bvecs[0], l->tx_page, sizeof(*f), offset_in_page(header));
		iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, bvecs, 1 + op->nr_pages,
			      sizeof(*f) + len);
	} else {
		err = send_bytes(l, f, sizeof(*f), NULL, 0, true);
		if (err)
			return err;
		iov_iter_bvec(&msg.msg_iter, ITER_SOURCE, bvecs + 1, op->nr_pages, len);
	}
	return send_all(l, &msg, send);
}

/*
 * Less than all comes when the timeout is over.  TLS must not wait for all: while it has
 * some to give, that of 6.1 forgets the error that comes behind them.
 */
static int recv_all(struct blkcast_link *l, struct msghdr *msg)
{
	int flags = l->flags & BLKCAST_F_TLS ? 0 : MSG_WAITALL;

	while (msg_data_left(msg)) {
		int n;

		WRITE_ONCE(l->rx_since, jiffies ?: 1);
		n = sock_recvmsg(l->sock, msg, flags);
		WRITE_ONCE(l->rx_since, 0);
		if (n <= 0)
			return n ? socket_error(l, n) : -ECONNRESET;
	}
	return 0;
}

static int recv_bytes(struct blkcast_link *l, void *buf, size_t len)
{
	struct msghdr msg = { .msg_flags = MSG_WAITALL };
	struct kvec vec = { .iov_base = buf, .iov_len = len };

	iov_iter_kvec(&msg.msg_iter, ITER_DEST, &vec, 1, len);
	return recv_all(l, &msg);
}

static const char *header_check(struct blkcast_link *l,
				const struct blkcast_frame *f)
{
	if (le32_to_cpu(f->magic) != BLKCAST_FRAME_MAGIC)
		return "not a frame";
	if (le32_to_cpu(f->crc) != header_crc(f))
		return "bad header checksum";
	if (le32_to_cpu(f->term) != l->term)
		return "another term";
	if (le64_to_cpu(f->seq) != l->rx_seq + 1)
		return "frame out of sequence";
	if (le32_to_cpu(f->length) > BLKCAST_PAYLOAD_MAX)
		return "frame too long";
	if (f->reserved)
		return "reserved field not zero";
	return NULL;
}

/**
 * blkcast_frame_recv() - receive a header
 * @l: the link, of which this is the receiving thread
 * @f: filled in
 *
 * Return: 0; -EPROTO if it is not a valid one for this link (logged).
 */
int blkcast_frame_recv(struct blkcast_link *l, struct blkcast_frame *f)
{
	bool waited = skb_queue_empty_lockless(&l->sock->sk->sk_receive_queue);
	const char *wrong;
	int err;

	/* Nothing comes for now: time to tell what has come. */
	if (waited && READ_ONCE(l->ack_due))
		wake_up(&l->wake);
	err = recv_bytes(l, f, sizeof(*f));
	if (err)
		return err;
	wrong = header_check(l, f);
	if (wrong) {
		vol_err_ratelimited(l->vol, "link %s: %s\n", l->name, wrong);
		return -EPROTO;
	}
	l->rx_seq++;
	/* What came while this thread was held up came nobody knows when. */
	l->rx_late = l->rx_late && !waited;
	spin_lock_irq(&l->vol->lock);
	l->rx_when = ktime_get_ns();
	if (!l->rx_late) {
		l->echo_time = le64_to_cpu(f->time);
		l->echo_when = l->rx_when;
	}
	spin_unlock_irq(&l->vol->lock);
	return 0;
}

/* Say why the link ends: the frame is right by itself, but must not come here and now. */
void blkcast_frame_refused(struct blkcast_link *l, const struct blkcast_frame *f)
{
	u64 lsn = le64_to_cpu(f->lsn);

	vol_err_ratelimited(l->vol,
			    "link %s: refused frame %llu: type %u, flags %#x, %u bytes, lsn %u.%llu, sector %llu, sectors %u\n",
			    l->name, le64_to_cpu(f->seq), le16_to_cpu(f->type),
			    le16_to_cpu(f->flags), le32_to_cpu(f->length),
			    blkcast_lsn_term(lsn), blkcast_lsn_seq(lsn),
			    le64_to_cpu(f->sector), le32_to_cpu(f->sectors));
}

static int data_check(struct blkcast_link *l, const struct blkcast_frame *f,
		      u32 crc)
{
	if (le32_to_cpu(f->data_crc) == crc)
		return 0;
	vol_err_ratelimited(l->vol, "link %s: bad data checksum\n", l->name);
	return -EPROTO;
}

/* Receive @f->length bytes of payload into kernel memory. */
int blkcast_frame_recv_data(struct blkcast_link *l,
			    const struct blkcast_frame *f, void *data)
{
	u32 len = le32_to_cpu(f->length);

	return recv_bytes(l, data, len) ?:
	       data_check(l, f, ~crc32c(~0, data, len));
}

/* Receive the payload into an op's pages. */
int blkcast_frame_recv_op(struct blkcast_link *l, const struct blkcast_frame *f,
			  struct blkcast_op *op)
{
	struct msghdr msg = { .msg_flags = MSG_WAITALL };
	struct bio_vec bvecs[BLKCAST_OP_PAGES];
	int err;

	blkcast_op_bvecs(op, bvecs);
	iov_iter_bvec(&msg.msg_iter, ITER_DEST, bvecs, op->nr_pages,
		      le32_to_cpu(f->length));
	err = recv_all(l, &msg);
	return err ?: data_check(l, f, op_data_crc(op));
}
