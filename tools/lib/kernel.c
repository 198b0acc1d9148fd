// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * The commands: build a message, send it, take the answer and the ack.
 *
 * Every exchange goes through transact(), which asks for an acknowledgement
 * with extended-ack text.  What the kernel answers with before the ack is
 * handed to the command's own parser.  kernel_parse.c decodes attributes.
 */
#include <errno.h>
#include <inttypes.h>
#include <libmnl/libmnl.h>
#include <linux/genetlink.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "kernel.h"
#include "kernel_parse.h"

/* Larger than one volume with its history and some 200 links. */
#define BUFFER_SIZE (128U << 10)

struct bc_kernel {
	struct mnl_socket *socket;
	uint16_t family;
	uint32_t events_group;
	uint32_t seq;
	char refusal[256];	/* extended-ack text of the last refusal */
	char buffer[BUFFER_SIZE];
};

/* --- one exchange ----------------------------------------------------- */

static struct nlmsghdr *message_new(struct bc_kernel *kernel, uint16_t type,
				    uint16_t flags, uint8_t cmd, uint8_t version)
{
	struct nlmsghdr *message = mnl_nlmsg_put_header(kernel->buffer);
	struct genlmsghdr *genl;

	message->nlmsg_type = type;
	message->nlmsg_flags = NLM_F_REQUEST | NLM_F_ACK | flags;
	message->nlmsg_seq = ++kernel->seq;
	genl = mnl_nlmsg_put_extra_header(message, sizeof(*genl));
	genl->cmd = cmd;
	genl->version = version;
	return message;
}

static struct nlmsghdr *command_new(struct bc_kernel *kernel, uint8_t cmd,
				    const char *name)
{
	struct nlmsghdr *message;

	message = message_new(kernel, kernel->family, 0, cmd, BLKCAST_GENL_VERSION);
	mnl_attr_put_strz(message, BLKCAST_A_NAME, name);
	return message;
}

static int take_refusal_attr(const struct nlattr *attr, void *data)
{
	struct bc_kernel *kernel = data;

	if (mnl_attr_get_type(attr) == NLMSGERR_ATTR_MSG &&
	    mnl_attr_validate(attr, MNL_TYPE_NUL_STRING) >= 0)
		snprintf(kernel->refusal, sizeof(kernel->refusal), "%s",
			 mnl_attr_get_str(attr));
	return MNL_CB_OK;
}

/* NLMSG_ERROR, which with error 0 is the ack that ends the exchange. */
static int take_ack(const struct nlmsghdr *message, void *data)
{
	const struct nlmsgerr *ack = mnl_nlmsg_get_payload(message);
	size_t skip = sizeof(*ack);

	if (mnl_nlmsg_get_payload_len(message) < sizeof(*ack)) {
		errno = EBADMSG;
		return MNL_CB_ERROR;
	}
	if (message->nlmsg_flags & NLM_F_ACK_TLVS) {
		if (!(message->nlmsg_flags & NLM_F_CAPPED))
			skip += mnl_nlmsg_get_payload_len(&ack->msg);
		mnl_attr_parse(message, skip, take_refusal_attr, data);
	}
	if (!ack->error)
		return MNL_CB_STOP;
	errno = -ack->error;
	return MNL_CB_ERROR;
}

/* The end of a dump carries an errno as well. */
static int take_done(const struct nlmsghdr *message, void *data)
{
	const int *err = mnl_nlmsg_get_payload(message);

	(void)data;
	if (mnl_nlmsg_get_payload_len(message) >= sizeof(*err) && *err < 0) {
		errno = -*err;
		return MNL_CB_ERROR;
	}
	return MNL_CB_STOP;
}

struct answer {
	struct bc_kernel *kernel;
	mnl_cb_t fn;
	void *arg;
};

static int take_answer(const struct nlmsghdr *message, void *data)
{
	struct answer *answer = data;

	return answer->fn ? answer->fn(message, answer->arg) : MNL_CB_OK;
}

static int take_answer_ack(const struct nlmsghdr *message, void *data)
{
	return take_ack(message, ((struct answer *)data)->kernel);
}

static int socket_open(struct bc_kernel *kernel)
{
	int on = 1;

	kernel->socket = mnl_socket_open2(NETLINK_GENERIC, SOCK_CLOEXEC);
	if (!kernel->socket)
		return -errno;
	if (mnl_socket_bind(kernel->socket, 0, MNL_SOCKET_AUTOPID) < 0) {
		int ret = -errno;

		mnl_socket_close(kernel->socket);
		kernel->socket = NULL;
		return ret;
	}
	mnl_socket_setsockopt(kernel->socket, NETLINK_EXT_ACK, &on, sizeof(on));
	mnl_socket_setsockopt(kernel->socket, NETLINK_CAP_ACK, &on, sizeof(on));
	return 0;
}

/*
 * A dump that broke off, for want of memory say, goes on for ever in its socket, which
 * then takes no other and has old answers: it is done with, the next call makes one.
 * Who has views that end with the socket asks for no dumps.
 */
static int dump_broken(struct bc_kernel *kernel, int err)
{
	mnl_socket_close(kernel->socket);
	kernel->socket = NULL;
	return err;
}

static int transact(struct bc_kernel *kernel, struct nlmsghdr *message,
		    mnl_cb_t fn, void *arg)
{
	static mnl_cb_t control[] = {
		[NLMSG_ERROR] = take_answer_ack,
		[NLMSG_DONE] = take_done,
	};
	/* Looked at now: the answer may take the message's place. */
	bool dump = (message->nlmsg_flags & NLM_F_DUMP) == NLM_F_DUMP;
	struct answer answer = { kernel, fn, arg };
	unsigned int port;
	int ret;

	if (!kernel->socket) {
		ret = socket_open(kernel);
		if (ret)
			return ret;
	}
	port = mnl_socket_get_portid(kernel->socket);
	kernel->refusal[0] = 0;
	if (mnl_socket_sendto(kernel->socket, message, message->nlmsg_len) < 0)
		return -errno;
	do {
		ret = mnl_socket_recvfrom(kernel->socket, kernel->buffer,
					  sizeof(kernel->buffer));
		if (ret < 0 && errno == EINTR)
			continue;
		if (ret < 0)
			return dump ? dump_broken(kernel, -errno) : -errno;
		ret = mnl_cb_run2(kernel->buffer, ret, kernel->seq, port,
				  take_answer, &answer, control,
				  MNL_ARRAY_SIZE(control));
	} while (ret > MNL_CB_STOP || (ret < 0 && errno == EINTR));
	return ret < 0 ? -errno : 0;
}

static const char *reason(const struct bc_kernel *kernel, int err)
{
	/* Whatever it was for: its own text says what could not be done. */
	if (kernel->refusal[0] && err != -ENOMEM)
		return kernel->refusal;
	if (err == -EPERM)
		return "permission denied; this needs root (CAP_SYS_ADMIN)";
	return strerror(-err);
}

/* Send a command without an answer; the sentence is "volume NAME: what: why". */
__attribute__((format(printf, 6, 7)))
static int command(struct bc_kernel *kernel, struct nlmsghdr *message,
		   mnl_cb_t fn, void *arg, struct bc_error *error,
		   const char *fmt, ...)
{
	int ret = transact(kernel, message, fn, arg);
	va_list args;
	size_t len;

	if (!ret)
		return 0;
	va_start(args, fmt);
	vsnprintf(error->text, sizeof(error->text), fmt, args);
	va_end(args);
	len = strlen(error->text);
	snprintf(error->text + len, sizeof(error->text) - len, ": %s",
		 reason(kernel, ret));
	return ret;
}

/* --- open ------------------------------------------------------------- */

static int find_family(struct bc_kernel *kernel, struct bc_error *error)
{
	struct bc_family family = { 0 };
	struct nlmsghdr *message;
	int ret;

	message = message_new(kernel, GENL_ID_CTRL, 0, CTRL_CMD_GETFAMILY, 1);
	mnl_attr_put_strz(message, CTRL_ATTR_FAMILY_NAME, BLKCAST_GENL_NAME);
	ret = transact(kernel, message, bc_parse_family, &family);
	if (ret == -ENOENT)
		return bc_fail(error, -ENOPROTOOPT,
			       "the blkcast module is not loaded: modprobe blkcast");
	if (ret)
		return bc_fail_errno(error, ret, "cannot ask the kernel for the blkcast module");
	kernel->family = family.id;
	kernel->events_group = family.events_group;
	return 0;
}

int bc_kernel_open(struct bc_kernel **out, struct bc_error *error)
{
	struct bc_kernel *kernel = calloc(1, sizeof(*kernel));
	int ret;

	if (!kernel)
		return bc_fail(error, -ENOMEM, "out of memory");
	kernel->seq = time(NULL);
	ret = find_family(kernel, error);
	if (ret) {
		bc_kernel_close(kernel);
		return ret;
	}
	*out = kernel;
	return 0;
}

void bc_kernel_close(struct bc_kernel *kernel)
{
	if (!kernel)
		return;
	if (kernel->socket)
		mnl_socket_close(kernel->socket);
	free(kernel);
}

bool bc_kernel_same(const struct bc_kernel *a, const struct bc_kernel *b)
{
	return a->family == b->family && a->events_group == b->events_group;
}

/* --- commands --------------------------------------------------------- */

int bc_kernel_up(struct bc_kernel *kernel, const struct bc_up *up,
		 uint32_t *minor, struct bc_error *error)
{
	struct bc_volume volume = { 0 };
	struct nlmsghdr *message = command_new(kernel, BLKCAST_CMD_UP, up->name);
	int ret;

	mnl_attr_put_u32(message, BLKCAST_A_BACKING, up->backing);
	mnl_attr_put_u32(message, BLKCAST_A_META, up->meta);
	if (up->backlog)
		mnl_attr_put_u64(message, BLKCAST_A_BACKLOG, up->backlog);
	if (up->meta_end)
		mnl_attr_put_u64(message, BLKCAST_A_META_END, up->meta_end);
	ret = command(kernel, message, bc_parse_volume, &volume, error,
		      "volume %s: cannot be brought up", up->name);
	if (!ret && minor)
		*minor = volume.minor;
	bc_volume_release(&volume);
	return ret;
}

int bc_kernel_down(struct bc_kernel *kernel, const char *name,
		   struct bc_error *error)
{
	return command(kernel, command_new(kernel, BLKCAST_CMD_DOWN, name),
		       NULL, NULL, error, "volume %s: cannot be taken down", name);
}

int bc_kernel_primary(struct bc_kernel *kernel, const char *name, uint32_t term,
		      uint64_t reign, uint64_t lease, uint32_t flags,
		      struct bc_error *error)
{
	struct nlmsghdr *message = command_new(kernel, BLKCAST_CMD_PRIMARY, name);

	mnl_attr_put_u32(message, BLKCAST_A_TERM, term);
	mnl_attr_put_u64(message, BLKCAST_A_REIGN, reign);
	if (lease)
		mnl_attr_put_u64(message, BLKCAST_A_LEASE, lease);
	if (flags)
		mnl_attr_put_u32(message, BLKCAST_A_FLAGS, flags);
	return command(kernel, message, NULL, NULL, error,
		       "volume %s: cannot become primary with term %u", name, term);
}

int bc_kernel_replica(struct bc_kernel *kernel, const char *name,
		      const char *heir, uint32_t flags, struct bc_error *error)
{
	struct nlmsghdr *message = command_new(kernel, BLKCAST_CMD_REPLICA, name);

	if (heir)
		mnl_attr_put_strz(message, BLKCAST_A_LINK, heir);
	if (flags)
		mnl_attr_put_u32(message, BLKCAST_A_FLAGS, flags);
	return command(kernel, message, NULL, NULL, error,
		       "volume %s: cannot become a replica%s%s", name,
		       heir ? " and hand over to " : "", heir ? heir : "");
}

int bc_kernel_depose(struct bc_kernel *kernel, const char *name, uint32_t term,
		     struct bc_error *error)
{
	struct nlmsghdr *message = command_new(kernel, BLKCAST_CMD_DEPOSE, name);

	mnl_attr_put_u32(message, BLKCAST_A_TERM, term);
	return command(kernel, message, NULL, NULL, error,
		       "volume %s: cannot be deposed by term %u", name, term);
}

int bc_kernel_set(struct bc_kernel *kernel, const char *name,
		  const struct bc_set *set, struct bc_error *error)
{
	struct nlmsghdr *message = command_new(kernel, BLKCAST_CMD_SET, name);

	if (set->ack >= 0)
		mnl_attr_put_u8(message, BLKCAST_A_ACK, set->ack);
	if (set->resync_rate)
		mnl_attr_put_u64(message, BLKCAST_A_RESYNC_RATE, set->resync_rate);
	if (set->active_max)
		mnl_attr_put_u64(message, BLKCAST_A_ACTIVE_MAX, set->active_max);
	if (set->min_isr)
		mnl_attr_put_u32(message, BLKCAST_A_MIN_ISR, set->min_isr);
	if (set->on_loss >= 0)
		mnl_attr_put_u8(message, BLKCAST_A_ON_LOSS, set->on_loss);
	if (set->max_lag_ms >= 0)
		mnl_attr_put_u32(message, BLKCAST_A_MAX_LAG, set->max_lag_ms);
	if (set->membership >= 0)
		mnl_attr_put_u8(message, BLKCAST_A_MEMBERSHIP, set->membership);
	if (set->on_io_error >= 0)
		mnl_attr_put_u8(message, BLKCAST_A_ON_IO_ERROR, set->on_io_error);
	return command(kernel, message, NULL, NULL, error,
		       "volume %s: cannot change the policy", name);
}

int bc_kernel_suspend(struct bc_kernel *kernel, const char *name,
		      struct bc_error *error)
{
	return command(kernel, command_new(kernel, BLKCAST_CMD_SUSPEND, name),
		       NULL, NULL, error, "volume %s: cannot be suspended", name);
}

int bc_kernel_resume(struct bc_kernel *kernel, const char *name,
		     struct bc_error *error)
{
	return command(kernel, command_new(kernel, BLKCAST_CMD_RESUME, name),
		       NULL, NULL, error, "volume %s: cannot be resumed", name);
}

int bc_kernel_member(struct bc_kernel *kernel, const char *name, const char *link,
		     bool in, struct bc_error *error)
{
	struct nlmsghdr *message = command_new(kernel, BLKCAST_CMD_MEMBER, name);

	mnl_attr_put_strz(message, BLKCAST_A_LINK, link);
	mnl_attr_put_u8(message, BLKCAST_A_MEMBER, in);
	return command(kernel, message, NULL, NULL, error,
		       "volume %s: cannot put %s %s the in-sync set", name, link,
		       in ? "into" : "out of");
}

int bc_kernel_detach(struct bc_kernel *kernel, const char *name, struct bc_error *error)
{
	return command(kernel, command_new(kernel, BLKCAST_CMD_DETACH, name), NULL, NULL,
		       error, "volume %s: cannot go on without its device", name);
}

int bc_kernel_lease(struct bc_kernel *kernel, const char *name, uint64_t until,
		    struct bc_error *error)
{
	struct nlmsghdr *message = command_new(kernel, BLKCAST_CMD_LEASE, name);

	mnl_attr_put_u64(message, BLKCAST_A_LEASE, until);
	return command(kernel, message, NULL, NULL, error,
		       "volume %s: cannot have that lease", name);
}

int bc_kernel_grow(struct bc_kernel *kernel, const char *name, uint64_t sectors,
		   struct bc_error *error)
{
	struct nlmsghdr *message = command_new(kernel, BLKCAST_CMD_GROW, name);

	mnl_attr_put_u64(message, BLKCAST_A_SECTORS, sectors);
	return command(kernel, message, NULL, NULL, error,
		       "volume %s: cannot grow to %" PRIu64 " bytes", name,
		       sectors * 512);
}

int bc_kernel_link_add(struct bc_kernel *kernel, const struct bc_link_add *add,
		       struct bc_error *error)
{
	struct nlmsghdr *message = command_new(kernel, BLKCAST_CMD_LINK_ADD,
					       add->name);

	mnl_attr_put_strz(message, BLKCAST_A_LINK, add->link);
	if (add->node)
		mnl_attr_put(message, BLKCAST_A_NODE, 16, add->node);
	mnl_attr_put_u32(message, BLKCAST_A_SOCKET, add->socket);
	mnl_attr_put_u32(message, BLKCAST_A_TERM, add->term);
	mnl_attr_put_u32(message, BLKCAST_A_FLAGS, add->flags);
	if (add->timeout_ms)
		mnl_attr_put_u32(message, BLKCAST_A_TIMEOUT, add->timeout_ms);
	if (add->history)
		mnl_attr_put(message, BLKCAST_A_HISTORY,
			     add->reigns * sizeof(*add->history), add->history);
	return command(kernel, message, NULL, NULL, error,
		       "volume %s: cannot link %s with term %u", add->name,
		       add->link, add->term);
}

int bc_kernel_link_del(struct bc_kernel *kernel, const char *name,
		       const char *link, struct bc_error *error)
{
	struct nlmsghdr *message = command_new(kernel, BLKCAST_CMD_LINK_DEL, name);

	mnl_attr_put_strz(message, BLKCAST_A_LINK, link);
	return command(kernel, message, NULL, NULL, error,
		       "volume %s: cannot drop link %s", name, link);
}

int bc_kernel_get(struct bc_kernel *kernel, const char *name,
		  struct bc_volume *volume, struct bc_error *error)
{
	int ret;

	memset(volume, 0, sizeof(*volume));
	ret = command(kernel, command_new(kernel, BLKCAST_CMD_GET, name),
		      bc_parse_volume, volume, error, "volume %s", name);
	if (ret)
		bc_volume_release(volume);
	return ret;
}

struct volume_list {
	struct bc_volume *volume;
	size_t count;
};

static int take_listed(const struct nlmsghdr *message, void *data)
{
	struct volume_list *list = data;
	struct bc_volume *grown;

	grown = reallocarray(list->volume, list->count + 1, sizeof(*grown));
	if (!grown)
		return MNL_CB_ERROR;
	list->volume = grown;
	memset(&grown[list->count], 0, sizeof(*grown));
	list->count++;
	return bc_parse_volume(message, &grown[list->count - 1]);
}

int bc_kernel_get_all(struct bc_kernel *kernel, struct bc_volume **volumes,
		      size_t *count, struct bc_error *error)
{
	struct volume_list list = { 0 };
	struct nlmsghdr *message;
	int ret;

	message = message_new(kernel, kernel->family, NLM_F_DUMP,
			      BLKCAST_CMD_GET, BLKCAST_GENL_VERSION);
	ret = command(kernel, message, take_listed, &list, error,
		      "cannot list the volumes");
	if (ret) {
		bc_volumes_free(list.volume, list.count);
		return ret;
	}
	*volumes = list.volume;
	*count = list.count;
	return 0;
}

int bc_kernel_stamps(struct bc_kernel *kernel, const char *name, const char *view,
		     uint32_t first, uint32_t count, uint64_t *stamps,
		     struct bc_error *error)
{
	while (count) {
		uint32_t piece = count < BLKCAST_STAMPS_QUERY_MAX ? count :
				 BLKCAST_STAMPS_QUERY_MAX;
		struct bc_stamps answer = { stamps, piece, 0 };
		struct nlmsghdr *message;
		int ret;

		message = command_new(kernel, BLKCAST_CMD_STAMPS, name);
		mnl_attr_put_u32(message, BLKCAST_A_FIRST, first);
		mnl_attr_put_u32(message, BLKCAST_A_COUNT, piece);
		if (view)
			mnl_attr_put_strz(message, BLKCAST_A_VIEW, view);
		ret = command(kernel, message, bc_parse_stamps, &answer, error,
			      "volume %s: cannot read the stamps of regions %u..%u",
			      name, first, first + piece - 1);
		if (ret)
			return ret;
		if (answer.got != piece)
			return bc_fail(error, -EPROTO,
				       "volume %s: asked for %u stamps, got %u",
				       name, piece, answer.got);
		first += piece;
		stamps += piece;
		count -= piece;
	}
	return 0;
}

int bc_kernel_view_create(struct bc_kernel *kernel, const struct bc_view_create *create,
			  struct bc_view *made, struct bc_error *error)
{
	struct nlmsghdr *message = command_new(kernel, BLKCAST_CMD_VIEW_CREATE,
					       create->name);
	struct bc_volume answer = { 0 };
	int ret;

	mnl_attr_put_strz(message, BLKCAST_A_VIEW, create->view);
	mnl_attr_put_u64(message, BLKCAST_A_STORE_BYTES, create->store_bytes);
	if (create->store_fd >= 0)
		mnl_attr_put_u32(message, BLKCAST_A_STORE_FD, create->store_fd);
	if (create->store_dev)
		mnl_attr_put_u32(message, BLKCAST_A_STORE_DEV, create->store_dev);
	if (create->flags)
		mnl_attr_put_u32(message, BLKCAST_A_FLAGS, create->flags);
	if (create->timeout_ms)
		mnl_attr_put_u32(message, BLKCAST_A_TIMEOUT, create->timeout_ms);
	ret = command(kernel, message, bc_parse_volume, &answer, error,
		      "volume %s: cannot make view %s", create->name, create->view);
	if (!ret && made)
		*made = (struct bc_view){ .minor = answer.minor, .lsn = answer.lsn };
	bc_volume_release(&answer);
	return ret;
}

static struct nlmsghdr *view_command(struct bc_kernel *kernel, uint8_t cmd,
				     const char *name, const char *view)
{
	struct nlmsghdr *message = command_new(kernel, cmd, name);

	mnl_attr_put_strz(message, BLKCAST_A_VIEW, view);
	return message;
}

int bc_kernel_view_remove(struct bc_kernel *kernel, const char *name,
			  const char *view, struct bc_error *error)
{
	return command(kernel, view_command(kernel, BLKCAST_CMD_VIEW_REMOVE, name, view),
		       NULL, NULL, error, "volume %s: cannot remove view %s", name, view);
}

int bc_kernel_view_pass(struct bc_kernel *kernel, const char *name,
			const char *view, uint32_t first, struct bc_error *error)
{
	struct nlmsghdr *message = view_command(kernel, BLKCAST_CMD_VIEW_PASS, name, view);

	mnl_attr_put_u32(message, BLKCAST_A_FIRST, first);
	return command(kernel, message, NULL, NULL, error,
		       "volume %s: cannot give up what view %s shows", name, view);
}

const struct bc_view *bc_volume_view(const struct bc_volume *volume, const char *view)
{
	for (uint32_t i = 0; i < volume->views; i++) {
		if (!strcmp(volume->view[i].name, view) &&
		    !(volume->view[i].flags & BLKCAST_F_REPLACE))
			return &volume->view[i];
	}
	return NULL;
}

int bc_kernel_verify(struct bc_kernel *kernel, const char *name,
		     const char *link, uint32_t flags, struct bc_error *error)
{
	struct nlmsghdr *message = command_new(kernel, BLKCAST_CMD_VERIFY, name);

	mnl_attr_put_strz(message, BLKCAST_A_LINK, link);
	if (flags)
		mnl_attr_put_u32(message, BLKCAST_A_FLAGS, flags);
	return command(kernel, message, NULL, NULL, error,
		       "volume %s: cannot %s the verification of %s", name,
		       flags & BLKCAST_F_STOP ? "stop" : "start", link);
}

/* One answer; returns how many ranges it holds. */
static int differing_piece(struct bc_kernel *kernel, const char *name,
			   const char *link, uint32_t first,
			   struct bc_range *ranges, struct bc_error *error)
{
	struct bc_ranges answer = { ranges, BLKCAST_RANGES_QUERY_MAX, 0 };
	struct nlmsghdr *message = command_new(kernel, BLKCAST_CMD_DIFFERING, name);
	int ret;

	mnl_attr_put_strz(message, BLKCAST_A_LINK, link);
	mnl_attr_put_u32(message, BLKCAST_A_FIRST, first);
	ret = command(kernel, message, bc_parse_ranges, &answer, error,
		      "volume %s: cannot read what differs on %s", name, link);
	return ret ? ret : (int)answer.got;
}

int bc_kernel_differing(struct bc_kernel *kernel, const char *name,
			const char *link, struct bc_range **ranges,
			size_t *count, struct bc_error *error)
{
	struct bc_range *all = NULL, *grown;
	uint32_t first = 0;
	size_t n = 0;
	int got;

	do {
		grown = reallocarray(all, n + BLKCAST_RANGES_QUERY_MAX, sizeof(*all));
		got = grown ? differing_piece(kernel, name, link, first, grown + n,
					      error) :
			      bc_fail(error, -ENOMEM, "out of memory");
		if (grown)
			all = grown;
		if (got > 0) {
			n += got;
			first = all[n - 1].first + all[n - 1].count;
		}
	} while (got == BLKCAST_RANGES_QUERY_MAX);
	if (got < 0) {
		free(all);
		return got;
	}
	*ranges = all;
	*count = n;
	return 0;
}

/* --- events ----------------------------------------------------------- */

struct bc_events {
	struct bc_kernel *kernel;
};

int bc_events_open(struct bc_events **out, struct bc_error *error)
{
	struct bc_events *events = calloc(1, sizeof(*events));
	uint32_t group;
	int ret;

	if (!events)
		return bc_fail(error, -ENOMEM, "out of memory");
	ret = bc_kernel_open(&events->kernel, error);
	if (ret)
		goto failed;
	group = events->kernel->events_group;
	ret = mnl_socket_setsockopt(events->kernel->socket,
				    NETLINK_ADD_MEMBERSHIP, &group, sizeof(group));
	if (ret) {
		ret = bc_fail_errno(error, -errno, "cannot listen to the module's events");
		goto failed;
	}
	*out = events;
	return 0;
failed:
	bc_events_close(events);
	return ret;
}

void bc_events_close(struct bc_events *events)
{
	if (!events)
		return;
	bc_kernel_close(events->kernel);
	free(events);
}

int bc_events_fd(const struct bc_events *events)
{
	return mnl_socket_get_fd(events->kernel->socket);
}

struct event_sink {
	void (*fn)(const struct bc_event *event, void *arg);
	void *arg;
};

static int take_event(const struct nlmsghdr *message, void *data)
{
	struct event_sink *sink = data;
	struct bc_event event;

	if (bc_parse_event(message, &event))
		sink->fn(&event, sink->arg);
	return MNL_CB_OK;
}

int bc_events_read(struct bc_events *events,
		   void (*fn)(const struct bc_event *event, void *arg),
		   void *arg, struct bc_error *error)
{
	struct bc_kernel *kernel = events->kernel;
	struct event_sink sink = { fn, arg };
	ssize_t len;

	for (;;) {
		len = recv(bc_events_fd(events), kernel->buffer,
			   sizeof(kernel->buffer), MSG_DONTWAIT);
		if (len < 0 && errno == EINTR)
			continue;
		if (len < 0 && (errno == EAGAIN || errno == EWOULDBLOCK))
			return 0;
		if (len < 0)
			return bc_fail_errno(error, -errno,
					     "cannot read the module's events");
		mnl_cb_run(kernel->buffer, len, 0, 0, take_event, &sink);
	}
}
