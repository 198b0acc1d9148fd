// SPDX-License-Identifier: GPL-2.0-or-later
/* What people call the kernel's enums. */
#include <errno.h>
#include <string.h>

#include "kernel.h"
#include "util.h"

static const char *name_of(const char * const *names, size_t count, uint8_t value)
{
	return value < count && names[value] ? names[value] : "unknown";
}

const char *bc_role_name(uint8_t role)
{
	static const char * const names[] = {
		[BLKCAST_ROLE_REPLICA] = "replica",
		[BLKCAST_ROLE_PRIMARY] = "primary",
	};

	return name_of(names, BC_ARRAY_SIZE(names), role);
}

static const char * const ack_names[] = {
	[BLKCAST_ACK_LOCAL] = "local",
	[BLKCAST_ACK_DISK] = "disk",
	[BLKCAST_ACK_MEMORY] = "memory",
};

static int value_of(const char * const *names, size_t count, const char *text)
{
	for (size_t i = 0; i < count; i++) {
		if (!strcmp(text, names[i]))
			return i;
	}
	return -EINVAL;
}

const char *bc_ack_name(uint8_t ack)
{
	return name_of(ack_names, BC_ARRAY_SIZE(ack_names), ack);
}

int bc_ack_parse(const char *text)
{
	return value_of(ack_names, BC_ARRAY_SIZE(ack_names), text);
}

static const char * const on_loss_names[] = {
	[BLKCAST_ON_LOSS_SUSPEND] = "suspend",
	[BLKCAST_ON_LOSS_ERROR] = "error",
};

const char *bc_on_loss_name(uint8_t on_loss)
{
	return name_of(on_loss_names, BC_ARRAY_SIZE(on_loss_names), on_loss);
}

int bc_on_loss_parse(const char *text)
{
	return value_of(on_loss_names, BC_ARRAY_SIZE(on_loss_names), text);
}

static const char * const on_io_error_names[] = {
	[BLKCAST_ON_IO_ERROR_PASS] = "pass",
	[BLKCAST_ON_IO_ERROR_DETACH] = "detach",
};

const char *bc_on_io_error_name(uint8_t on_io_error)
{
	return name_of(on_io_error_names, BC_ARRAY_SIZE(on_io_error_names), on_io_error);
}

int bc_on_io_error_parse(const char *text)
{
	return value_of(on_io_error_names, BC_ARRAY_SIZE(on_io_error_names), text);
}

const char *bc_device_name(uint8_t device)
{
	static const char * const names[] = {
		[BLKCAST_DEVICE_IN_USE] = "in-use",
		[BLKCAST_DEVICE_FAILING] = "failing",
		[BLKCAST_DEVICE_DETACHED] = "detached",
	};

	return name_of(names, BC_ARRAY_SIZE(names), device);
}

static const char * const membership_names[] = {
	[BLKCAST_MEMBERSHIP_AUTO] = "auto",
	[BLKCAST_MEMBERSHIP_MANAGED] = "managed",
};

const char *bc_membership_name(uint8_t membership)
{
	return name_of(membership_names, BC_ARRAY_SIZE(membership_names), membership);
}

int bc_membership_parse(const char *text)
{
	return value_of(membership_names, BC_ARRAY_SIZE(membership_names), text);
}

const char *bc_link_state_name(uint8_t state)
{
	static const char * const names[] = {
		[BLKCAST_LINK_DOWN] = "down",
		[BLKCAST_LINK_COMPARING] = "comparing",
		[BLKCAST_LINK_RESYNC] = "resync",
		[BLKCAST_LINK_JOINING] = "joining",
		[BLKCAST_LINK_IN_SYNC] = "in-sync",
	};

	return name_of(names, BC_ARRAY_SIZE(names), state);
}

const char *bc_verify_state_name(uint8_t state)
{
	static const char * const names[] = {
		[BLKCAST_VERIFY_RUNNING] = "running",
		[BLKCAST_VERIFY_DONE] = "done",
		[BLKCAST_VERIFY_STOPPED] = "stopped",
	};

	return name_of(names, BC_ARRAY_SIZE(names), state);
}

const char *bc_view_state_name(uint8_t state)
{
	static const char * const names[] = {
		[BLKCAST_VIEW_WHOLE] = "whole",
		[BLKCAST_VIEW_FULL] = "its store is full",
		[BLKCAST_VIEW_NO_MEMORY] = "no memory",
		[BLKCAST_VIEW_READ_ERROR] = "old content could not be read",
		[BLKCAST_VIEW_WRITE_ERROR] = "a write that belongs to it failed",
		[BLKCAST_VIEW_FLUSH_ERROR] = "a flush of the volume's device failed",
		[BLKCAST_VIEW_STORE_ERROR] = "its store failed",
		[BLKCAST_VIEW_TIMEOUT] = "its store is too slow for the writers",
		[BLKCAST_VIEW_SHRUNK] = "the volume lost a part that it shows",
	};

	return name_of(names, BC_ARRAY_SIZE(names), state);
}

const char *bc_store_name(uint8_t store)
{
	static const char * const names[] = {
		[BLKCAST_STORE_MEMORY] = "memory",
		[BLKCAST_STORE_FILE] = "file",
		[BLKCAST_STORE_DEVICE] = "device",
	};

	return name_of(names, BC_ARRAY_SIZE(names), store);
}

const char *bc_event_name(uint8_t event)
{
	static const char * const names[] = {
		[BLKCAST_EVENT_LINK_UP] = "link-up",
		[BLKCAST_EVENT_LINK_DOWN] = "link-down",
		[BLKCAST_EVENT_LINK_IN_SYNC] = "link-in-sync",
		[BLKCAST_EVENT_LINK_BEHIND] = "link-behind",
		[BLKCAST_EVENT_VOLUME_UP] = "volume-up",
		[BLKCAST_EVENT_VOLUME_DOWN] = "volume-down",
		[BLKCAST_EVENT_ROLE] = "role",
		[BLKCAST_EVENT_SUSPENDED] = "suspended",
		[BLKCAST_EVENT_RESUMED] = "resumed",
		[BLKCAST_EVENT_DEPOSED] = "deposed",
		[BLKCAST_EVENT_RESYNC_BEGIN] = "resync-begin",
		[BLKCAST_EVENT_RESYNC_END] = "resync-end",
		[BLKCAST_EVENT_MEMBERS] = "in-sync-set",
		[BLKCAST_EVENT_ERROR] = "error",
		[BLKCAST_EVENT_SIZE] = "size",
		[BLKCAST_EVENT_READ] = "read-elsewhere",
		[BLKCAST_EVENT_MEMBER_LOST] = "member-lost",
		[BLKCAST_EVENT_CAUGHT_UP] = "caught-up",
		[BLKCAST_EVENT_LEASE_OVER] = "lease-over",
		[BLKCAST_EVENT_LEASE_RENEWED] = "lease-renewed",
		[BLKCAST_EVENT_FAILING] = "device-failing",
		[BLKCAST_EVENT_DETACHED] = "detached",
	};

	return name_of(names, BC_ARRAY_SIZE(names), event);
}

bool bc_max_lag_valid(uint64_t ms)
{
	return !ms || (ms >= 100 && ms <= 24 * 3600 * 1000);
}

bool bc_resync_rate_valid(uint64_t bytes_a_second)
{
	return bytes_a_second >= 64 << 10 && bytes_a_second <= 1ULL << 40;
}

bool bc_active_max_valid(uint64_t bytes)
{
	return bytes >= 64 << 20 && bytes <= 1ULL << 46;
}

bool bc_min_isr_valid(uint64_t copies)
{
	return copies >= 1 && copies <= BLKCAST_MEMBERS_MAX + 1;
}
