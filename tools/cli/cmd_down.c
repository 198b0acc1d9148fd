// SPDX-License-Identifier: GPL-2.0-or-later
/* blkcast down: end the reign, drop the links, let go of the devices. */
#include <errno.h>

#include "cli.h"
#include "devlink.h"
#include "role.h"

#define WAIT_MS 10000

static const struct cli_option options[] = {
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"NAME",
	"Take a volume down: end the reign if this host is the primary, drop the\n"
	"links, write the stamp map, let go of the devices; its views go as well.\n"
	"Refused while the device, or that of a view, is open.",
	options, 1, 1
};

/* The kernel looks again; but then the reign has ended. */
static int views_closed(struct bc_kernel *kernel, const char *name, struct bc_error *error)
{
	struct bc_volume volume;
	int ret = bc_kernel_get(kernel, name, &volume, error);

	if (ret)
		return ret;
	for (uint32_t i = 0; i < volume.views && !ret; i++) {
		if (volume.view[i].openers)
			ret = bc_fail(error, -EBUSY,
				      "volume %s: cannot be taken down: its view %s is open (/dev/blkcast%u)",
				      name, volume.view[i].name, volume.view[i].minor);
	}
	bc_volume_release(&volume);
	return ret;
}

static int wait_views_closed(struct bc_kernel *kernel, const char *name,
			     struct bc_error *error)
{
	unsigned int tries = 0;
	int ret;

	do {
		ret = views_closed(kernel, name, error);
	} while (devlink_retry(ret, &tries));
	return ret;
}

int volume_down(struct bc_kernel *kernel, const char *name, struct bc_error *error)
{
	unsigned int tries = 0;
	int ret;

	do {
		ret = bc_kernel_down(kernel, name, error);
	} while (devlink_retry(ret, &tries));
	if (!ret)
		devlink_remove(name);
	return ret;
}

int cmd_down(int argc, char **argv)
{
	struct control *hold = NULL;
	struct bc_kernel *kernel;
	struct bc_error error;
	int exit_code, ret;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	if (bc_kernel_open(&kernel, &error))
		return cli_failed(&error);
	ret = wait_views_closed(kernel, rest[0], &error);
	if (!ret)
		ret = role_end_reign(kernel, rest[0], NULL, WAIT_MS, &error);
	if (!ret)
		ret = control_hold(&hold, kernel, rest[0], &error);
	if (!ret)
		ret = volume_down(kernel, rest[0], &error);
	control_close(hold);
	bc_kernel_close(kernel);
	return ret ? cli_failed(&error) : CLI_DONE;
}
