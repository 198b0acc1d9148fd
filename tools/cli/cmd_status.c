// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcast status: gathers, then prints.  Without the daemon, or with a file of the
 * configuration that is wrong, the rest is shown all the same.
 */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli.h"
#include "status.h"

static bool json;

static const struct cli_option options[] = {
	{ "json", CLI_FLAG, &json, NULL, "for programs" },
	{ NULL, 0, NULL, NULL, NULL }
};

static const struct cli_syntax syntax = {
	"[NAME] [--json]",
	"Show volumes and links: roles, sizes, how far each replica trails, why a link\n"
	"is down and when the daemon tries again.",
	options, 0, 1
};

struct sources {
	struct bc_volume *live;
	struct bc_volume_config *configs;
	size_t live_count, config_count;
	struct json_object *daemon;
};

static int gather_kernel(struct sources *sources, struct bc_error *error)
{
	struct bc_kernel *kernel;
	int ret;

	ret = bc_kernel_open(&kernel, error);
	if (ret)
		return ret;
	ret = bc_kernel_get_all(kernel, &sources->live, &sources->live_count, error);
	bc_kernel_close(kernel);
	return ret;
}

static void gather_daemon(struct sources *sources)
{
	struct control *control;
	struct bc_error error;
	int ret;

	ret = control_open(&control, &error);
	if (ret == -EACCES)	/* it may run: it does not talk to everybody */
		sources->daemon = json_object_new_object();
	if (ret)
		return;
	control_ask(control, control_request("status", NULL), 5000,
		    &sources->daemon, &error);
	control_close(control);
}

static void release(struct sources *sources)
{
	bc_volumes_free(sources->live, sources->live_count);
	bc_volume_configs_free(sources->configs, sources->config_count);
	json_object_put(sources->daemon);
}

static const struct bc_volume *find_live(const struct sources *sources,
					 const char *name)
{
	for (size_t i = 0; i < sources->live_count; i++) {
		if (!strcmp(sources->live[i].name, name))
			return &sources->live[i];
	}
	return NULL;
}

static bool configured(const struct sources *sources, const char *name)
{
	for (size_t i = 0; i < sources->config_count; i++) {
		if (!strcmp(sources->configs[i].name, name))
			return true;
	}
	return false;
}

/* One entry a volume: the configured, then those only the kernel knows. */
static size_t join(const struct sources *sources, struct status_volume *volumes,
		   const char *only)
{
	size_t count = 0;

	for (size_t i = 0; i < sources->config_count; i++) {
		const struct bc_volume_config *config = &sources->configs[i];

		if (!only || !strcmp(only, config->name))
			volumes[count++] = (struct status_volume){
				config->name, find_live(sources, config->name), config
			};
	}
	for (size_t i = 0; i < sources->live_count; i++) {
		const struct bc_volume *live = &sources->live[i];

		if (!configured(sources, live->name) &&
		    (!only || !strcmp(only, live->name)))
			volumes[count++] = (struct status_volume){
				live->name, live, NULL
			};
	}
	return count;
}

static int show(const struct sources *sources, const char *only)
{
	struct status_volume *volumes;
	size_t count;

	volumes = calloc(sources->config_count + sources->live_count + 1,
			 sizeof(*volumes));
	if (!volumes)
		return cli_failf("out of memory");
	count = join(sources, volumes, only);
	if (only && !count) {
		free(volumes);
		return cli_failf("volume %s: not configured and not up on this host",
				 only);
	}
	if (json)
		status_print_json(volumes, count, sources->daemon);
	else
		status_print_table(volumes, count, sources->daemon);
	free(volumes);
	return CLI_DONE;
}

int cmd_status(int argc, char **argv)
{
	int exit_code, wrong = CLI_DONE;
	struct sources sources = { 0 };
	struct bc_error error;
	char **rest;

	exit_code = cli_parse(&syntax, argc, argv, &rest);
	if (exit_code != CLI_GO)
		return exit_code;
	/* A wrong file does not hide what is up. */
	if (bc_volume_configs_load(&sources.configs, &sources.config_count, &error))
		wrong = cli_failed(&error);
	if (gather_kernel(&sources, &error)) {
		exit_code = cli_failed(&error);
	} else {
		gather_daemon(&sources);
		exit_code = show(&sources, rest[0]);
	}
	release(&sources);
	return exit_code == CLI_DONE ? wrong : exit_code;
}
