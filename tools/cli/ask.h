/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * One question to the blkcastd of another host, which has the same key or a certificate
 * (tools/daemon/join.h tells what can be asked).
 */
#ifndef BC_ASK_H
#define BC_ASK_H

#include <json-c/json.h>

#include "config.h"
#include "error.h"

/**
 * struct asked - what came of it
 * @node: the name of who answered
 * @local: the address this host has on that connection, without port
 * @answer: to be put
 * @socket: asked for with @keep: still connected, all of the answer read; else -1
 */
struct asked {
	char node[BLKCAST_NAME_MAX], local[BC_HOST_MAX];
	struct json_object *answer;
	int socket;
};

/*
 * @node: who is expected there, by its certificate, unless that is for the address; NULL:
 * that alone.  @question is consumed.
 */
int ask_host(const struct bc_address *address, const char *node, const char *volume,
	     struct json_object *question, bool keep, struct asked *asked,
	     struct bc_error *error);
void asked_release(struct asked *asked);

/* { "type": TYPE } */
struct json_object *ask_question(const char *type);

#endif /* BC_ASK_H */
