// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * Reading the configuration: inih calls a handler for each key, which finds
 * the key in a table and stores the value, or leaves a sentence; the first
 * sentence is reported with file and line.  config_save.c writes.
 *
 * inih cuts lines at 200 and section names at 50 characters without a word,
 * so lines longer than LINE_MAX_CHARS are refused before it sees them.
 */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <ini.h>
#include <netdb.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "config.h"
#include "kernel.h"
#include "util.h"

#define LINE_MAX_CHARS	190
#define LINK_PREFIX	"link "
#define PORT_DIGITS	5

const char *bc_config_dir(void)
{
	const char *dir = getenv("BLKCAST_CONFIG_DIR");

	return dir && *dir ? dir : "/etc/blkcast";
}

const char *bc_run_dir(void)
{
	const char *dir = getenv("BLKCAST_RUN_DIR");

	return dir && *dir ? dir : "/run/blkcast";
}

/* --- values ----------------------------------------------------------- */

static int port_valid(const char *port)
{
	char *end;
	long value = strtol(port, &end, 10);

	return *port >= '0' && *port <= '9' && !*end && end - port <= PORT_DIGITS &&
	       value > 0 && value < 65536;
}

/* Would it be read again as it is written here? */
static bool host_valid(const char *host, size_t len)
{
	for (size_t i = 0; i < len; i++) {
		if (!isascii(host[i]) || !isgraph(host[i]) || strchr("/;[]", host[i]))
			return false;
	}
	return len && len < BC_HOST_MAX;
}

/* Where the port begins behind the host, NULL without one. */
static const char *address_split(const char *text, const char **host, size_t *len)
{
	const char *colon;

	if (*text == '[') {
		const char *end = strchr(text, ']');

		*host = text + 1;
		*len = end && (!end[1] || end[1] == ':') ? (size_t)(end - text - 1) : 0;
		return *len && end[1] ? end + 2 : NULL;
	}
	colon = strrchr(text, ':');
	*host = text;
	if (!colon || strchr(text, ':') != colon) {
		*len = strlen(text);
		return NULL;
	}
	*len = colon - text;
	return colon + 1;
}

int bc_address_parse(struct bc_address *address, const char *text,
		     struct bc_error *error)
{
	const char *host, *port;
	size_t len;

	port = address_split(text, &host, &len);
	if (!host_valid(host, len))
		return bc_fail(error, -EINVAL, "'%s' is no address: HOST:PORT or [V6]:PORT",
			       text);
	if (!port)
		port = BC_PORT_DEFAULT;
	if (!port_valid(port))
		return bc_fail(error, -EINVAL, "'%s': the port must be 1..65535", text);
	memcpy(address->host, host, len);
	address->host[len] = 0;
	snprintf(address->port, sizeof(address->port), "%s", port);
	return 0;
}

void bc_address_format(const struct bc_address *address, char *text, size_t size)
{
	const char *form = strchr(address->host, ':') ? "[%s]:%s" : "%s:%s";

	snprintf(text, size, form, address->host, address->port);
}

static int take_address(void *to, size_t size, const char *value,
			struct bc_error *error)
{
	(void)size;
	return bc_address_parse(to, value, error);
}

static int take_path(void *to, size_t size, const char *value,
		     struct bc_error *error)
{
	if (*value != '/')
		return bc_fail(error, -EINVAL, "'%s' must be an absolute path", value);
	for (const char *at = value; *at; at++) {
		if (iscntrl(*at))
			return bc_fail(error, -EINVAL, "the path holds a control character");
	}
	if (strlen(value) >= size)
		return bc_fail(error, -EINVAL, "the path is too long");
	strcpy(to, value);
	return 0;
}

static int take_name(void *to, size_t size, const char *value,
		     struct bc_error *error)
{
	(void)size;
	if (!bc_name_valid(value))
		return bc_fail(error, -EINVAL, "'%s' is no name: 1..63 of a-z A-Z 0-9 . _ -",
			       value);
	strcpy(to, value);
	return 0;
}

static int take_domain(void *to, size_t size, const char *value,
		       struct bc_error *error)
{
	(void)size;
	if (!host_valid(value, strlen(value)) || strchr(value, ':') || *value == '.')
		return bc_fail(error, -EINVAL, "'%s' is no domain, such as example.com", value);
	strcpy(to, value);
	return 0;
}

/* Names, with blanks between them. */
static int take_allow(void *to, size_t size, const char *value, struct bc_error *error)
{
	char text[BC_ALLOW_MAX], *rest = text, *name;

	if (!*value || strlen(value) >= size)
		return bc_fail(error, -EINVAL, "allow: 1 to %d characters", BC_ALLOW_MAX - 1);
	strcpy(text, value);
	while ((name = strsep(&rest, " "))) {
		if (*name && !bc_name_valid(name))
			return bc_fail(error, -EINVAL, "allow: '%s' is no name of a node", name);
	}
	strcpy(to, value);
	return 0;
}

bool bc_volume_allows(const struct bc_volume_config *config, const char *node)
{
	char text[BC_ALLOW_MAX], *rest = text, *name;

	strcpy(text, config->allow);
	while ((name = strsep(&rest, " "))) {
		if (*name && !strcmp(name, node))
			return true;
	}
	return !config->allow[0];
}

static int take_backlog(void *to, size_t size, const char *value,
			struct bc_error *error)
{
	uint64_t *bytes = to;

	(void)size;
	if (bc_size_parse(value, bytes) || *bytes < (1ULL << 20) ||
	    *bytes > (4ULL << 30))
		return bc_fail(error, -EINVAL, "backlog '%s' must be 1M..4G", value);
	return 0;
}

static int take_ack(void *to, size_t size, const char *value,
		    struct bc_error *error)
{
	int ack = bc_ack_parse(value);

	(void)size;
	if (ack < 0)
		return bc_fail(error, ack, "ack '%s' must be local, memory or disk", value);
	*(uint8_t *)to = ack;
	return 0;
}

static int take_rate(void *to, size_t size, const char *value,
		     struct bc_error *error)
{
	uint64_t *rate = to;

	(void)size;
	if (bc_size_parse(value, rate) || !bc_resync_rate_valid(*rate))
		return bc_fail(error, -EINVAL, "resync-rate '%s' must be 64K..1T",
			       value);
	return 0;
}

static int take_active_max(void *to, size_t size, const char *value,
			   struct bc_error *error)
{
	uint64_t *bytes = to;

	(void)size;
	if (bc_size_parse(value, bytes) || !bc_active_max_valid(*bytes))
		return bc_fail(error, -EINVAL, "active-max '%s' must be 64M..64T",
			       value);
	return 0;
}

static int take_min_isr(void *to, size_t size, const char *value,
			struct bc_error *error)
{
	char *end;
	unsigned long copies = strtoul(value, &end, 10);

	(void)size;
	if (*value < '0' || *value > '9' || *end || !bc_min_isr_valid(copies))
		return bc_fail(error, -EINVAL, "min-isr '%s' must be 1..%d copies",
			       value, BLKCAST_MEMBERS_MAX + 1);
	*(uint32_t *)to = copies;
	return 0;
}

static int take_on_loss(void *to, size_t size, const char *value,
			struct bc_error *error)
{
	int on_loss = bc_on_loss_parse(value);

	(void)size;
	if (on_loss < 0)
		return bc_fail(error, on_loss, "on-loss '%s' must be suspend or error",
			       value);
	*(uint8_t *)to = on_loss;
	return 0;
}

static int take_on_io_error(void *to, size_t size, const char *value,
			    struct bc_error *error)
{
	int on_io_error = bc_on_io_error_parse(value);

	(void)size;
	if (on_io_error < 0)
		return bc_fail(error, on_io_error, "on-io-error '%s' must be pass or detach",
			       value);
	*(uint8_t *)to = on_io_error;
	return 0;
}

static int take_max_lag(void *to, size_t size, const char *value, struct bc_error *error)
{
	uint64_t ns;

	(void)size;
	if (bc_duration_parse(value, &ns) || !bc_max_lag_valid(ns / 1000000))
		return bc_fail(error, -EINVAL, "max-lag '%s' must be 100ms..24h", value);
	*(uint32_t *)to = ns / 1000000;
	return 0;
}

bool bc_fallback_valid(const char *store)
{
	return *store == '/' || !strncmp(store, "memory:", strlen("memory:"));
}

static int store_copy(char *to, size_t size, const char *key, const char *value,
		      struct bc_error *error)
{
	if (!bc_fallback_valid(value))
		return bc_fail(error, -EINVAL,
			       "%s '%s' must be memory:SIZE, /FILE:SIZE or /DEVICE", key, value);
	if (strlen(value) >= size)
		return bc_fail(error, -EINVAL, "the path is too long");
	strcpy(to, value);
	return 0;
}

static int take_fallback(void *to, size_t size, const char *value, struct bc_error *error)
{
	return store_copy(to, size, "fallback", value, error);
}

static int take_send_store(void *to, size_t size, const char *value, struct bc_error *error)
{
	return store_copy(to, size, "send-store", value, error);
}

static int take_membership(void *to, size_t size, const char *value,
			   struct bc_error *error)
{
	int membership = bc_membership_parse(value);

	(void)size;
	if (membership < 0)
		return bc_fail(error, membership,
			       "membership '%s' must be auto or managed", value);
	*(uint8_t *)to = membership + 1;
	return 0;
}

static int take_bool(void *to, size_t size, const char *value,
		     struct bc_error *error)
{
	(void)size;
	if (strcmp(value, "yes") && strcmp(value, "no"))
		return bc_fail(error, -EINVAL, "'%s' must be yes or no", value);
	*(bool *)to = !strcmp(value, "yes");
	return 0;
}

static int take_timeout(void *to, size_t size, const char *value,
			struct bc_error *error)
{
	char *end;
	long ms = strtol(value, &end, 10);

	(void)size;
	if (end == value || *end || ms < 1000 || ms > 600000)
		return bc_fail(error, -EINVAL, "timeout '%s' must be 1000..600000 (ms)",
			       value);
	*(uint32_t *)to = ms;
	return 0;
}

static int take_capacity(void *to, size_t size, const char *value,
			 struct bc_error *error)
{
	char *end;
	long reads = strtol(value, &end, 10);

	(void)size;
	if (end == value || *end || reads < 1 || reads > 1000000000)
		return bc_fail(error, -EINVAL,
			       "read-capacity '%s' must be 1..1000000000 (reads a second)",
			       value);
	*(uint32_t *)to = reads;
	return 0;
}

static int take_uuid(void *to, size_t size, const char *value,
		     struct bc_error *error)
{
	(void)size;
	if (bc_uuid_parse(value, to))
		return bc_fail(error, -EINVAL, "'%s' is no uuid", value);
	return 0;
}

/* --- keys ------------------------------------------------------------- */

struct key {
	const char *name;
	int (*take)(void *to, size_t size, const char *value,
		    struct bc_error *error);
	size_t offset, size;
};

#define KEY(type, member, take) \
	{ #member, take, offsetof(type, member), sizeof(((type *)0)->member) }

static const struct key daemon_keys[] = {
	KEY(struct bc_daemon_config, listen, take_address),
	KEY(struct bc_daemon_config, key, take_path),
	KEY(struct bc_daemon_config, node, take_name),
	KEY(struct bc_daemon_config, plain, take_bool),
	KEY(struct bc_daemon_config, certificate, take_path),
	{ "private-key", take_path, offsetof(struct bc_daemon_config, private_key),
	  BC_PATH_MAX },
	KEY(struct bc_daemon_config, ca, take_path),
	KEY(struct bc_daemon_config, crl, take_path),
	{ "certificate-domain", take_domain, offsetof(struct bc_daemon_config, domain),
	  BC_HOST_MAX },
	{ "accept-key", take_bool, offsetof(struct bc_daemon_config, accept_key),
	  sizeof(bool) },
	{ "send-store", take_send_store, offsetof(struct bc_daemon_config, send_store),
	  BC_PATH_MAX },
	{ NULL, NULL, 0, 0 }
};

static const struct key volume_keys[] = {
	KEY(struct bc_volume_config, uuid, take_uuid),
	KEY(struct bc_volume_config, backing, take_path),
	KEY(struct bc_volume_config, meta, take_path),
	KEY(struct bc_volume_config, backlog, take_backlog),
	KEY(struct bc_volume_config, ack, take_ack),
	{ "resync-rate", take_rate, offsetof(struct bc_volume_config, resync_rate),
	  sizeof(uint64_t) },
	{ "active-max", take_active_max, offsetof(struct bc_volume_config, active_max),
	  sizeof(uint64_t) },
	{ "min-isr", take_min_isr, offsetof(struct bc_volume_config, min_isr),
	  sizeof(uint32_t) },
	{ "on-loss", take_on_loss, offsetof(struct bc_volume_config, on_loss),
	  sizeof(uint8_t) },
	{ "on-io-error", take_on_io_error,
	  offsetof(struct bc_volume_config, on_io_error), sizeof(uint8_t) },
	{ "max-lag", take_max_lag, offsetof(struct bc_volume_config, max_lag_ms),
	  sizeof(uint32_t) },
	KEY(struct bc_volume_config, fallback, take_fallback),
	KEY(struct bc_volume_config, membership, take_membership),
	KEY(struct bc_volume_config, allow, take_allow),
	{ NULL, NULL, 0, 0 }
};

static const struct key link_keys[] = {
	KEY(struct bc_link_config, address, take_address),
	KEY(struct bc_link_config, async, take_bool),
	KEY(struct bc_link_config, plain, take_bool),
	{ "timeout", take_timeout, offsetof(struct bc_link_config, timeout_ms),
	  sizeof(uint32_t) },
	{ "read-capacity", take_capacity,
	  offsetof(struct bc_link_config, read_capacity), sizeof(uint32_t) },
	{ NULL, NULL, 0, 0 }
};

/* What one file's handler works on. */
struct parse {
	struct bc_error *error;
	bool failed;
	struct bc_volume_config *volume;
	struct bc_daemon_config *daemon;
	char section[64];
	bool head;	/* [volume] or [daemon] has been there */
	uint32_t seen;	/* a bit a key, of the section @section */
};

static int key_take(struct parse *parse, const struct key *keys, void *object,
		    const char *name, const char *value)
{
	for (int i = 0; keys[i].name; i++) {
		if (strcmp(keys[i].name, name))
			continue;
		if (parse->seen & 1U << i)
			return bc_fail(parse->error, -EEXIST, "key '%s' twice", name);
		parse->seen |= 1U << i;
		return keys[i].take((char *)object + keys[i].offset, keys[i].size,
				    value, parse->error);
	}
	return bc_fail(parse->error, -EINVAL, "unknown key '%s' in section [%s]",
		       name, parse->section);
}

static int enter_section(struct parse *parse, const char *section)
{
	const char *peer = section + strlen(LINK_PREFIX);
	struct bc_error *error = parse->error;

	parse->seen = 0;
	snprintf(parse->section, sizeof(parse->section), "%s", section);
	if (!strcmp(section, "volume") || !strcmp(section, "daemon")) {
		if (parse->head)
			return bc_fail(error, -EEXIST, "section [%s] twice", section);
		parse->head = true;
		return 0;
	}
	if (!parse->volume || strncmp(section, LINK_PREFIX, strlen(LINK_PREFIX)))
		return 0;
	if (!bc_name_valid(peer) || strlen(peer) > BC_PEER_MAX)
		return bc_fail(error, -EINVAL, "'%s' is no name of a peer: 1..%d of a-z A-Z 0-9 . _ -",
			       peer, BC_PEER_MAX);
	if (bc_volume_config_find_link(parse->volume, peer))
		return bc_fail(error, -EEXIST, "section [%s] twice", section);
	if (!bc_volume_config_add_link(parse->volume, peer))
		return bc_fail(error, -ENOMEM, "out of memory");
	return 0;
}

static int section_take(struct parse *parse, const char *name, const char *value)
{
	struct bc_volume_config *volume = parse->volume;

	if (parse->daemon && !strcmp(parse->section, "daemon"))
		return key_take(parse, daemon_keys, parse->daemon, name, value);
	if (volume && !strcmp(parse->section, "volume"))
		return key_take(parse, volume_keys, volume, name, value);
	if (volume && !strncmp(parse->section, LINK_PREFIX, strlen(LINK_PREFIX)))
		return key_take(parse, link_keys, &volume->link[volume->links - 1],
				name, value);
	return bc_fail(parse->error, -EINVAL, "unknown section [%s]", parse->section);
}

/* inih: 1 is good; the first 0 gives the line that ini_parse_file() returns. */
static int handle(void *user, const char *section, const char *name,
		  const char *value)
{
	struct parse *parse = user;

	if (parse->failed)
		return 0;
	if (strcmp(section, parse->section) && enter_section(parse, section))
		parse->failed = true;
	else if (section_take(parse, name, value))
		parse->failed = true;
	return !parse->failed;
}

/* --- files ------------------------------------------------------------ */

static int check_lines(FILE *file, const char *path, struct bc_error *error)
{
	unsigned int line = 1, chars = 0;
	int c;

	while ((c = getc(file)) != EOF) {
		if (c == '\n') {
			line++;
			chars = 0;
		} else if (++chars > LINE_MAX_CHARS) {
			return bc_fail(error, -EINVAL, "%s:%u: line longer than %d characters",
				       path, line, LINE_MAX_CHARS);
		}
	}
	if (ferror(file))
		return bc_fail_errno(error, -EIO, "%s", path);
	rewind(file);
	return 0;
}

static int parse_file(struct parse *parse, const char *path)
{
	FILE *file = fopen(path, "re");
	int line, ret;

	if (!file)
		return bc_fail_errno(parse->error, -errno, "%s", path);
	ret = check_lines(file, path, parse->error);
	if (ret)
		goto cleanup;
	line = ini_parse_file(file, handle, parse);
	if (!line)
		goto cleanup;
	ret = -EINVAL;
	if (line < 0)
		bc_fail(parse->error, ret, "%s: cannot be read", path);
	else if (parse->failed)
		bc_error_prefix(parse->error, "%s:%d", path, line);
	else
		bc_fail(parse->error, ret, "%s:%d: neither [section] nor key = value",
			path, line);
cleanup:
	fclose(file);
	return ret;
}

static void daemon_defaults(struct bc_daemon_config *config)
{
	memset(config, 0, sizeof(*config));
	strcpy(config->listen.host, "0.0.0.0");
	strcpy(config->listen.port, BC_PORT_DEFAULT);
	snprintf(config->key, sizeof(config->key), "%s/key", bc_config_dir());
	gethostname(config->node, sizeof(config->node) - 1);
}

static int check_certificates(const struct bc_daemon_config *config, const char *path,
			      struct bc_error *error)
{
	bool any = config->certificate[0] || config->private_key[0] || config->ca[0] ||
		   config->crl[0];

	if (!any || (config->certificate[0] && config->private_key[0] && config->ca[0]))
		return 0;
	return bc_fail(error, -EINVAL,
		       "%s: links by certificates need all of certificate, private-key and ca",
		       path);
}

int bc_daemon_config_load(struct bc_daemon_config *config,
			  struct bc_error *error)
{
	struct parse parse = { .error = error, .daemon = config };
	char path[BC_PATH_MAX];
	int ret;

	daemon_defaults(config);
	snprintf(path, sizeof(path), "%s/blkcast.conf", bc_config_dir());
	if (!access(path, F_OK)) {
		ret = parse_file(&parse, path);
		if (ret)
			return ret;
	}
	if (!bc_name_valid(config->node) || strlen(config->node) > BC_PEER_MAX)
		return bc_fail(error, -EINVAL,
			       "'%s' is no name of a node; set node = NAME in [daemon] of %s",
			       config->node, path);
	return check_certificates(config, path, error);
}

static int load_end(struct bc_volume_config *config, struct bc_error *error)
{
	char path[BC_PATH_MAX], line[32] = "";
	FILE *file;

	snprintf(path, sizeof(path), "%s/volumes.d/%s.end", bc_config_dir(),
		 config->name);
	file = fopen(path, "re");
	if (!file)
		return errno == ENOENT ? 0 : bc_fail_errno(error, -errno, "%s", path);
	if (!fgets(line, sizeof(line), file))
		line[0] = 0;
	fclose(file);
	line[strcspn(line, "\n")] = 0;
	if (bc_size_parse(line, &config->meta_end))
		return bc_fail(error, -EINVAL,
			       "%s: not a number of bytes; remove it if the device has not been enlarged",
			       path);
	return 0;
}

int bc_volume_config_load(struct bc_volume_config *config, const char *name,
			  struct bc_error *error)
{
	struct parse parse = { .error = error, .volume = config };
	char path[BC_PATH_MAX];
	int ret;

	memset(config, 0, sizeof(*config));
	config->ack = BLKCAST_ACK_LOCAL;
	if (!bc_name_valid(name))
		return bc_fail(error, -EINVAL, "'%s' is no name of a volume: 1..63 of a-z A-Z 0-9 . _ -",
			       name);
	strcpy(config->name, name);
	snprintf(path, sizeof(path), "%s/volumes.d/%s.conf", bc_config_dir(), name);
	if (access(path, F_OK) && errno == ENOENT)
		return bc_fail(error, -ENOENT,
			       "volume %s: not configured on this host (no %s)",
			       name, path);
	ret = parse_file(&parse, path);
	if (!ret && !config->backing[0])
		ret = bc_fail(error, -EINVAL, "%s: [volume] without backing = DEVICE",
			      path);
	if (!ret)
		ret = load_end(config, error);
	if (ret)
		bc_volume_config_release(config);
	return ret;
}

void bc_volume_config_release(struct bc_volume_config *config)
{
	free(config->link);
	config->link = NULL;
	config->links = 0;
}

/* --- all volumes ------------------------------------------------------ */

static int is_volume_file(const struct dirent *entry)
{
	size_t len = strlen(entry->d_name);

	return len > strlen(".conf") && entry->d_name[0] != '.' &&
	       !strcmp(entry->d_name + len - strlen(".conf"), ".conf");
}

static int load_entry(struct bc_volume_config *config, struct dirent *entry,
		      struct bc_error *error)
{
	entry->d_name[strlen(entry->d_name) - strlen(".conf")] = 0;
	return bc_volume_config_load(config, entry->d_name, error);
}

int bc_volume_configs_load(struct bc_volume_config **configs, size_t *count,
			   struct bc_error *error)
{
	struct dirent **entries;
	struct bc_error later;
	char path[BC_PATH_MAX];
	int found, err, wrong = 0, ret = 0;
	size_t end;

	*configs = NULL;
	*count = 0;
	snprintf(path, sizeof(path), "%s/volumes.d", bc_config_dir());
	found = scandir(path, &entries, is_volume_file, alphasort);
	if (found < 0)
		return errno == ENOENT ? 0 :
		       bc_fail_errno(error, -errno, "%s", path);
	*configs = calloc(found + 1, sizeof(**configs));
	if (!*configs)
		ret = bc_fail(error, -ENOMEM, "out of memory");
	for (int i = 0; i < found && *configs; i++) {
		err = load_entry(&(*configs)[*count], entries[i], ret ? &later : error);
		*count += !err;
		wrong += err != 0;
		ret = ret ? ret : err;
	}
	if (wrong > 1) {
		end = strlen(error->text);
		snprintf(error->text + end, sizeof(error->text) - end, " (and %d more wrong)",
			 wrong - 1);
	}
	for (int i = 0; i < found; i++)
		free(entries[i]);
	free(entries);
	return ret;
}

void bc_volume_configs_free(struct bc_volume_config *configs, size_t count)
{
	for (size_t i = 0; i < count; i++)
		bc_volume_config_release(&configs[i]);
	free(configs);
}

/* --- links ------------------------------------------------------------ */

struct bc_link_config *bc_volume_config_find_link(struct bc_volume_config *config,
						  const char *peer)
{
	for (size_t i = 0; i < config->links; i++) {
		if (!strcmp(config->link[i].peer, peer))
			return &config->link[i];
	}
	return NULL;
}

struct bc_link_config *bc_volume_config_add_link(struct bc_volume_config *config,
						 const char *peer)
{
	struct bc_link_config *link;

	link = reallocarray(config->link, config->links + 1, sizeof(*link));
	if (!link)
		return NULL;
	config->link = link;
	link += config->links++;
	memset(link, 0, sizeof(*link));
	snprintf(link->peer, sizeof(link->peer), "%s", peer);
	return link;
}

void bc_volume_config_del_link(struct bc_volume_config *config,
			       struct bc_link_config *link)
{
	size_t at = link - config->link;

	memmove(link, link + 1, (config->links - at - 1) * sizeof(*link));
	config->links--;
}
