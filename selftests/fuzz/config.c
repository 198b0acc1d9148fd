// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * libFuzzer target: the configuration.  The first byte says as which file the rest
 * is read: 'v' volumes.d/v.conf, 'e' the file beside it, anything else blkcast.conf.
 *
 * What is accepted is in range; what is saved is read back as the same, and saved
 * again to the same bytes.
 */
/* links: tools/lib/config.c tools/lib/config_save.c tools/lib/kernel_names.c */
/* links: tools/lib/util.c tools/lib/error.c selftests/fuzz/mutate_lines.c */
/* libs: inih json-c uuid */
/* flags: -fsanitize=fuzzer -lm */
#include <errno.h>
#include <sys/stat.h>

#include "config.h"
#include "fuzz.h"
#include "kernel.h"

static char folder[64] = "/dev/shm/blkcast-fuzz-XXXXXX";
static struct bc_error error;

static void path_of(char path[128], const char *name)
{
	snprintf(path, 128, "%s/%s", folder, name);
}

static void put_file(const char *name, const void *data, size_t size)
{
	char path[128];

	path_of(path, name);
	fuzz_put_file(path, data, size);
}

static void remove_file(const char *name)
{
	char path[128];

	path_of(path, name);
	unlink(path);
}

static size_t get_file(const char *name, char *text, size_t room)
{
	char path[128];
	ssize_t n;
	int fd;

	path_of(path, name);
	fd = open(path, O_RDONLY);
	n = read(fd, text, room);
	MUST(fd >= 0 && n >= 0);
	close(fd);
	return n;
}

/* --- what must hold -------------------------------------------------------------- */

static void check_address(const struct bc_address *address)
{
	struct bc_address again;
	char text[BC_HOST_MAX + 16];
	int port = atoi(address->port);

	MUST(address->host[0] && fuzz_printable(address->host));
	MUST(port > 0 && port < 65536 && strlen(address->port) <= 5);
	bc_address_format(address, text, sizeof(text));
	memset(&again, 0, sizeof(again));
	MUST(!bc_address_parse(&again, text, &error));
	MUST(!strcmp(again.host, address->host) && !strcmp(again.port, address->port));
}

static void check_link(const struct bc_link_config *link)
{
	MUST(bc_name_valid(link->peer) && strlen(link->peer) <= BC_PEER_MAX);
	MUST(!link->timeout_ms || (link->timeout_ms >= 1000 && link->timeout_ms <= 600000));
	MUST(link->read_capacity <= 1000000000);
	if (link->address.host[0])
		check_address(&link->address);
}

static void check_volume(struct bc_volume_config *config)
{
	MUST(config->backing[0] == '/' && (!config->meta[0] || config->meta[0] == '/'));
	MUST(!config->backlog || (config->backlog >= 1 << 20 && config->backlog <= 4ULL << 30));
	MUST(config->ack == BLKCAST_ACK_LOCAL || config->ack == BLKCAST_ACK_MEMORY ||
	     config->ack == BLKCAST_ACK_DISK);
	MUST(!config->resync_rate || bc_resync_rate_valid(config->resync_rate));
	MUST(!config->active_max || bc_active_max_valid(config->active_max));
	MUST(!config->min_isr || bc_min_isr_valid(config->min_isr));
	MUST(config->on_loss == BLKCAST_ON_LOSS_SUSPEND || config->on_loss == BLKCAST_ON_LOSS_ERROR);
	for (size_t i = 0; i < config->links; i++) {
		check_link(&config->link[i]);
		MUST(bc_volume_config_find_link(config, config->link[i].peer) ==
		     &config->link[i]);
	}
}

static void check_same(const struct bc_volume_config *a, const struct bc_volume_config *b)
{
	MUST(!strcmp(a->backing, b->backing) && !strcmp(a->meta, b->meta));
	MUST(!memcmp(a->uuid, b->uuid, sizeof(a->uuid)) && a->meta_end == b->meta_end);
	MUST(a->backlog == b->backlog && a->ack == b->ack && a->resync_rate == b->resync_rate);
	MUST(a->active_max == b->active_max && a->min_isr == b->min_isr);
	MUST(a->on_loss == b->on_loss && a->links == b->links);
	for (size_t i = 0; i < a->links; i++) {
		const struct bc_link_config *x = &a->link[i], *y = &b->link[i];

		MUST(!strcmp(x->peer, y->peer) && x->async == y->async && x->plain == y->plain);
		MUST(!strcmp(x->address.host, y->address.host));
		MUST(!strcmp(x->address.port, y->address.port));
		MUST(x->timeout_ms == y->timeout_ms && x->read_capacity == y->read_capacity);
	}
}

/* --- files ------------------------------------------------------------------------- */

static void save_twice(const struct bc_volume_config *config)
{
	static char first[1 << 16], second[1 << 16];
	struct bc_volume_config again;
	size_t len;
	int ret = bc_volume_config_save(config, &error);

	/* A path may be one that cannot be written. */
	MUST(!ret || ret == -EINVAL);
	if (ret)
		return;
	MUST(!bc_volume_config_load(&again, "v", &error));
	check_same(config, &again);
	len = get_file("volumes.d/v.conf", first, sizeof(first));
	MUST(!bc_volume_config_save(&again, &error));
	MUST(get_file("volumes.d/v.conf", second, sizeof(second)) == len);
	MUST(!memcmp(first, second, len));
	bc_volume_config_release(&again);
}

static void take_volume(const uint8_t *data, size_t size)
{
	struct bc_volume_config config;

	remove_file("volumes.d/v.end");
	put_file("volumes.d/v.conf", data, size);
	if (bc_volume_config_load(&config, "v", &error)) {
		MUST(strstr(error.text, "v.conf"));
		return;
	}
	check_volume(&config);
	save_twice(&config);
	bc_volume_config_release(&config);
}

static void take_end(const uint8_t *data, size_t size)
{
	static const char volume[] = "[volume]\nbacking=/dev/x\n";
	struct bc_volume_config config, again;

	put_file("volumes.d/v.conf", volume, sizeof(volume) - 1);
	put_file("volumes.d/v.end", data, size);
	if (bc_volume_config_load(&config, "v", &error))
		return;
	MUST(config.meta_end <= INT64_MAX);
	MUST(!bc_volume_end_save("v", config.meta_end, &error));
	MUST(!bc_volume_config_load(&again, "v", &error));
	check_same(&config, &again);
}

static void take_daemon(const uint8_t *data, size_t size)
{
	struct bc_daemon_config config;

	put_file("blkcast.conf", data, size);
	if (bc_daemon_config_load(&config, &error)) {
		MUST(strstr(error.text, "blkcast.conf"));
		return;
	}
	MUST(config.key[0] == '/' && bc_name_valid(config.node));
	MUST(strlen(config.node) <= BC_PEER_MAX);
	MUST(!config.send_store[0] || bc_fallback_valid(config.send_store));
	check_address(&config.listen);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	if (!size)
		return 0;
	if (data[0] == 'v')
		take_volume(data + 1, size - 1);
	else if (data[0] == 'e')
		take_end(data + 1, size - 1);
	else
		take_daemon(data + 1, size - 1);
	return 0;
}

/* --- seeds, and the folder ----------------------------------------------------------- */

static const char * const words[] = {
	"[volume]\\x0a", "[daemon]\\x0a", "[link a]\\x0a", "\\x0aasync=no\\x0a", "\\x0aplain=no\\x0a",
	"\\x0aaddress=", "\\x0abacking=/a", "\\x0ameta=/a", "\\x0auuid=", "\\x0abacklog=1M\\x0a",
	"\\x0aack=local\\x0a", "\\x0aack=disk\\x0a", "\\x0aresync-rate=64K\\x0a", "\\x0amin-isr=1\\x0a",
	"\\x0aon-loss=error\\x0a", "\\x0atimeout=1000\\x0a", "\\x0aread-capacity=1\\x0a",
	"\\x0alisten=", "\\x0akey=/a", "\\x0anode=", "\\x0asend-store=/a:1G", "[::1]:1", ":00080", "0x1p62",
	"1e3", " ;", "; ", "1.5G", "nan", "inf",
};

static void put_seed(const char *name, char as, const char *file)
{
	char text[4096];
	size_t len = get_file(file, text + 1, sizeof(text) - 1);

	text[0] = as;
	fuzz_put_seed(name, text, len + 1);
}

static void make_seeds(void)
{
	static const char daemon[] = "d[daemon]\nlisten = [::]:1234\nkey=/k\nnode=n\nplain=yes\n"
		"send-store=memory:1M\n";
	struct bc_volume_config config = {
		.name = "v", .backing = "/dev/vg0/data", .meta = "/var/lib/meta",
		.uuid = { 1 }, .backlog = 1 << 20, .ack = BLKCAST_ACK_DISK,
		.resync_rate = 1 << 20, .active_max = 1ULL << 40, .min_isr = 2,
		.on_loss = BLKCAST_ON_LOSS_ERROR,
	};
	struct bc_link_config *link;

	MUST(!bc_volume_config_save(&config, &error));
	put_seed("volume", 'v', "volumes.d/v.conf");
	link = bc_volume_config_add_link(&config, "beta");
	MUST(link && !bc_address_parse(&link->address, "[fd00::1]:7790", &error));
	link->async = link->plain = true;
	link->timeout_ms = 1000;
	link->read_capacity = 10;
	link = bc_volume_config_add_link(&config, "gamma");
	MUST(link && !bc_address_parse(&link->address, "gamma.example", &error));
	MUST(!bc_volume_config_save(&config, &error));
	put_seed("links", 'v', "volumes.d/v.conf");
	MUST(!bc_volume_end_save("v", 1ULL << 40, &error));
	put_seed("end", 'e', "volumes.d/v.end");
	fuzz_put_dictionary(words, BC_ARRAY_SIZE(words));
	fuzz_put_seed("daemon", daemon, sizeof(daemon) - 1);
	bc_volume_config_release(&config);
}

static void remove_folder(void)
{
	static const char * const names[] = {
		"volumes.d/v.conf", "volumes.d/v.end", "volumes.d", "blkcast.conf", ""
	};
	char path[128];

	for (size_t i = 0; i < BC_ARRAY_SIZE(names); i++) {
		path_of(path, names[i]);
		remove(path);
	}
}

int LLVMFuzzerInitialize(int *argc, char ***argv)
{
	char path[128];

	(void)argc;
	(void)argv;
	MUST(mkdtemp(folder) && !setenv("BLKCAST_CONFIG_DIR", folder, 1));
	path_of(path, "volumes.d");
	MUST(!mkdir(path, 0700) && !atexit(remove_folder));
	fuzz_make_seeds(make_seeds);
	return 0;
}
