/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * What the host's lab (lab.py) and a guest's agent (agent.c) say to each other
 * over the guest's virtio-serial port: frames of a 12-byte little-endian header
 * and a payload.  A job is one command in the guest; the lab picks its id.
 *
 *	lab to agent				agent to lab
 *	EXEC  id, shell command			READY 0
 *	TTY   id, the same on a terminal	OUT   id, bytes
 *	IN    id, bytes (none: end of file)	ERR   id, bytes
 *	KILL  id				EXIT  id, le32 exit status
 *	HALT  0 (sync and power off)
 *
 * EXIT comes when the command itself has ended.  Whatever it left running may
 * still write: OUT and ERR frames that follow go to the guest's log.
 */
#ifndef SELFTESTS_QEMU_PROTO_H
#define SELFTESTS_QEMU_PROTO_H

#include <stdint.h>

enum frame_type {
	FRAME_EXEC = 1,
	FRAME_TTY = 2,
	FRAME_IN = 3,
	FRAME_KILL = 4,
	FRAME_HALT = 5,
	FRAME_READY = 16,
	FRAME_OUT = 17,
	FRAME_ERR = 18,
	FRAME_EXIT = 19,
};

struct frame {
	uint32_t id;
	uint32_t type;
	uint32_t len;
};

#define FRAME_MAX	(1 << 20)	/* longest payload from the lab */
#define FRAME_CHUNK	(32 << 10)	/* longest payload from the agent */

#endif
