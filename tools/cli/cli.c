// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <getopt.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "cli.h"
#include "util.h"

#define OPTIONS_MAX 16

static void print_help(const struct cli_syntax *syntax, const char *command)
{
	printf("Usage: blkcast %s %s\n\n%s\n", command, syntax->synopsis,
	       syntax->about);
	if (syntax->options[0].name)
		printf("\nOptions:\n");
	for (const struct cli_option *option = syntax->options; option->name; option++) {
		char text[64];

		snprintf(text, sizeof(text), "--%s%s%s", option->name,
			 option->arg ? " " : "", option->arg ? option->arg : "");
		printf("  %-22s %s\n", text, option->help);
	}
}

static int wrong_usage(const struct cli_syntax *syntax, const char *command)
{
	fprintf(stderr, "Usage: blkcast %s %s\n('blkcast %s --help' says more)\n",
		command, syntax->synopsis, command);
	return CLI_USAGE;
}

static int number_parse(const char *text, uint32_t *value)
{
	char *end;
	unsigned long number;

	errno = 0;
	number = strtoul(text, &end, 10);
	if (*text < '0' || *text > '9' || *end || errno || number > UINT32_MAX)
		return -EINVAL;
	*value = number;
	return 0;
}

static int option_take(const struct cli_option *option, const char *value)
{
	switch (option->kind) {
	case CLI_FLAG:
		*(bool *)option->to = true;
		return 0;
	case CLI_TEXT:
		*(const char **)option->to = value;
		return 0;
	case CLI_SIZE:
		return bc_size_parse(value, option->to);
	case CLI_NUMBER:
		return number_parse(value, option->to);
	}
	return -EINVAL;
}

static void fill_long(const struct cli_option *options, struct option *longs)
{
	int i;

	for (i = 0; options[i].name && i < OPTIONS_MAX - 2; i++)
		longs[i] = (struct option){ options[i].name,
					    options[i].kind == CLI_FLAG ?
					    no_argument : required_argument,
					    NULL, 1 };
	longs[i] = (struct option){ "help", no_argument, NULL, 'h' };
	longs[i + 1] = (struct option){ NULL, 0, NULL, 0 };
}

int cli_parse(const struct cli_syntax *syntax, int argc, char **argv,
	      char ***rest)
{
	struct option longs[OPTIONS_MAX];
	int c, at;

	fill_long(syntax->options, longs);
	while ((c = getopt_long(argc, argv, "h", longs, &at)) != -1) {
		if (c == 'h') {
			print_help(syntax, argv[0]);
			return CLI_DONE;
		}
		if (c != 1)
			return wrong_usage(syntax, argv[0]);
		if (option_take(&syntax->options[at], optarg)) {
			fprintf(stderr, "blkcast: --%s: '%s' is no %s\n",
				longs[at].name, optarg,
				syntax->options[at].kind == CLI_SIZE ?
				"size (such as 512M)" : "number");
			return CLI_USAGE;
		}
	}
	if (argc - optind < syntax->min || argc - optind > syntax->max)
		return wrong_usage(syntax, argv[0]);
	*rest = argv + optind;
	return CLI_GO;
}

int cli_failed(const struct bc_error *error)
{
	fprintf(stderr, "blkcast: %s\n", error->text);
	return CLI_FAILED;
}

int cli_failf(const char *fmt, ...)
{
	va_list args;

	fprintf(stderr, "blkcast: ");
	va_start(args, fmt);
	vfprintf(stderr, fmt, args);
	va_end(args);
	fprintf(stderr, "\n");
	return CLI_FAILED;
}

bool cli_confirmed(const char *volume, const char *sentence, const char *option)
{
	char line[128];

	if (!isatty(STDIN_FILENO)) {
		cli_failf("volume %s: this asks before it acts; use %s where nobody can answer",
			  volume, option);
		return false;
	}
	printf("%s Name of the volume to go on: ", sentence);
	fflush(stdout);
	if (!fgets(line, sizeof(line), stdin))
		return false;
	line[strcspn(line, "\n")] = 0;
	return !strcmp(line, volume);
}

int cli_absolute(char *to, size_t size, const char *path, struct bc_error *error)
{
	char folder[BC_PATH_MAX];
	int len;

	if (*path == '/') {
		len = snprintf(to, size, "%s", path);
	} else {
		if (!getcwd(folder, sizeof(folder)))
			return bc_fail_errno(error, -errno, "where am I");
		len = snprintf(to, size, "%s/%s", folder, path);
	}
	if (len < 0 || (size_t)len >= size)
		return bc_fail(error, -ENAMETOOLONG, "%s: path too long", path);
	return 0;
}
