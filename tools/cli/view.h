/* SPDX-License-Identifier: GPL-2.0-or-later */
/* How views are shown, by 'view' and by 'status'. */
#ifndef BC_VIEW_H
#define BC_VIEW_H

#include <json-c/json.h>

#include "kernel.h"

struct json_object *view_list_json(const struct bc_volume *volume);
/* A line a view, each behind @indent. */
void view_list_print(const struct bc_volume *volume, const char *indent);

#endif /* BC_VIEW_H */
