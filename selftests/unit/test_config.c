// SPDX-License-Identifier: GPL-2.0-or-later
/* The configuration: what is written is read; what is wrong is said with a line. */
/* links: tools/lib/config.c tools/lib/config_save.c tools/lib/kernel_names.c tools/lib/util.c tools/lib/error.c */
/* libs: inih uuid */
/* flags: -lm -Wno-format-truncation */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "blkcast_netlink.h"
#include "config.h"
#include "expect.h"
#include "util.h"

static char folder[] = "/tmp/blkcast-config-XXXXXX";
static struct bc_error error;

static void put_file(const char *name, const char *text)
{
	char path[256];
	FILE *file;

	snprintf(path, sizeof(path), "%s/%s", folder, name);
	file = fopen(path, "w");
	if (!file || fputs(text, file) < 0 || fclose(file))
		ksft_exit_fail_msg("cannot write %s\n", path);
}

static int load_text(struct bc_volume_config *config, const char *text)
{
	put_file("volumes.d/v.conf", text);
	return bc_volume_config_load(config, "v", &error);
}

static void volume_round_trip(void)
{
	struct bc_volume_config config = { .name = "v", .ack = BLKCAST_ACK_DISK }, again;
	struct bc_link_config *link;

	bc_uuid_generate(config.uuid);
	strcpy(config.backing, "/dev/disk/by-id/with space");
	strcpy(config.meta, "/var/lib/meta file");
	config.backlog = 5 << 20;
	config.min_isr = 3;
	config.on_loss = BLKCAST_ON_LOSS_ERROR;
	config.max_lag_ms = 1500;
	strcpy(config.fallback, "/var/tmp/old:20G");
	config.membership = BLKCAST_MEMBERSHIP_MANAGED + 1;
	link = bc_volume_config_add_link(&config, "g2");
	EXPECT(!bc_address_parse(&link->address, "[fe80::1]:99", &error));
	link->async = true;
	link = bc_volume_config_add_link(&config, "g3.example");
	EXPECT(!bc_address_parse(&link->address, "host", &error));
	link->timeout_ms = 5000;
	link->read_capacity = 1200;
	EXPECT(!bc_volume_config_save(&config, &error));
	EXPECT(!bc_volume_config_load(&again, "v", &error));
	EXPECT(!strcmp(again.backing, config.backing) && !strcmp(again.meta, config.meta));
	EXPECT(!memcmp(again.uuid, config.uuid, 16));
	EXPECT(again.backlog == config.backlog && again.ack == BLKCAST_ACK_DISK);
	EXPECT(again.min_isr == 3 && again.on_loss == BLKCAST_ON_LOSS_ERROR);
	EXPECT(again.max_lag_ms == 1500);
	EXPECT(!strcmp(again.fallback, config.fallback));
	EXPECT(again.membership == BLKCAST_MEMBERSHIP_MANAGED + 1);
	EXPECT(again.links == 2);
	link = bc_volume_config_find_link(&again, "g2");
	EXPECT(link && !strcmp(link->address.host, "fe80::1") &&
	       !strcmp(link->address.port, "99") && link->async && !link->timeout_ms);
	link = bc_volume_config_find_link(&again, "g3.example");
	EXPECT(link && !strcmp(link->address.host, "host") &&
	       !strcmp(link->address.port, BC_PORT_DEFAULT) && !link->async &&
	       link->timeout_ms == 5000 && link->read_capacity == 1200);
	bc_volume_config_del_link(&again, bc_volume_config_find_link(&again, "g2"));
	EXPECT(again.links == 1 && !strcmp(again.link[0].peer, "g3.example"));
	bc_volume_config_release(&config);
	bc_volume_config_release(&again);
}

/* A peer whose address is not known yet stays in the file. */
static void link_without_address(void)
{
	struct bc_volume_config config, again;

	EXPECT(!load_text(&config, "[volume]\nbacking=/dev/x\n[link a]\nasync=no\n"));
	EXPECT(!bc_volume_config_save(&config, &error));
	EXPECT(!bc_volume_config_load(&again, "v", &error));
	EXPECT(again.links == 1 && !strcmp(again.link[0].peer, "a") && !again.link[0].async);
	bc_volume_config_release(&config);
	bc_volume_config_release(&again);
}

static void volume_refused(void)
{
	static const struct {
		const char *text, *says;
	} wrong[] = {
		{ "[volume]\nbacking=/dev/x\ncolour=red\n", "v.conf:3: unknown key 'colour'" },
		{ "[volume]\nbacking=/dev/x\nbacking=/dev/y\n", "v.conf:3: key 'backing' twice" },
		{ "[volume]\nbacking=/dev/x\n[link a]\naddress=b\n[volume]\nack=disk\n",
		  "v.conf:6: section [volume] twice" },
		{ "[volume]\nbacking=dev\n", "v.conf:2: 'dev' must be an absolute path" },
		{ "[volume]\nack=disk\n", "without backing" },
		{ "[volume]\nbacking=/dev/x\nack=maybe\n", "v.conf:3: ack 'maybe'" },
		{ "[volume]\nbacking=/dev/x\nbacklog=1K\n", "v.conf:3: backlog '1K'" },
		{ "[volume]\nbacking=/dev/x\nfallback=old:1G\n", "v.conf:3: fallback 'old:1G'" },
		{ "[volume]\nbacking=/dev/x\nmax-lag=5\n", "v.conf:3: max-lag '5'" },
		{ "[volume]\nbacking=/dev/x\nuuid=1\n", "v.conf:3: '1' is no uuid" },
		{ "[volume]\nbacking=/dev/x\n[link ../x]\naddress=a\n", "v.conf:4: '../x' is no name" },
		{ "[volume]\nbacking=/dev/x\n[link a]\ntimeout=5\n", "v.conf:4: timeout '5'" },
		{ "[volume]\nbacking=/dev/x\n[link a]\nread-capacity=0\n",
		  "v.conf:4: read-capacity '0'" },
		{ "[volume]\nbacking=/dev/x\n[link a]\nasync=true\n", "v.conf:4: 'true' must be" },
		{ "[volume]\nbacking=/dev/x\n[link a]\naddress=a:0\n", "v.conf:4: 'a:0': the port" },
		{ "[volume]\nbacking=/dev/x\n[link a]\naddress=a:0000080\n", "v.conf:4: 'a:0000080': the port" },
		{ "[volume]\nbacking=/dev/x\n[link a]\naddress=;a\n", "v.conf:4: ';a' is no address" },
		{ "[volume]\nbacking=/dev/x\n[link a]\naddress=[[a]\n", "v.conf:4: '[[a]' is no address" },
		{ "[volume]\nbacking=/dev/x\n[link a]\naddress=[::1]80\n", "v.conf:4: '[::1]80' is no" },
		{ "[volume]\nbacking=/dev/x\n[link a]\naddress=a\x01\n", "is no address" },
		{ "[volume]\nbacking=/dev/\x1b[2J\n", "v.conf:2: the path holds a control character" },
		{ "[disk]\nbacking=/dev/x\n", "v.conf:2: unknown section [disk]" },
		{ "[volume]\nbacking=/dev/x\nnonsense\n", "v.conf:3: neither" },
		{ "[volume]\nbacking=/dev/x\n[link a]\naddress=a\n[link b]\naddress=b\n[link a]\nasync=no\n",
		  "v.conf:8: section [link a] twice" },
	};
	struct bc_volume_config config;

	for (size_t i = 0; i < BC_ARRAY_SIZE(wrong); i++) {
		EXPECT(load_text(&config, wrong[i].text) == -EINVAL ||
		       load_text(&config, wrong[i].text) == -EEXIST);
		EXPECT_SAYS(error.text, wrong[i].says);
	}
	EXPECT(bc_volume_config_load(&config, "none", &error) == -ENOENT);
	EXPECT(bc_volume_config_load(&config, "../v", &error) == -EINVAL);
}

static void long_lines_refused(void)
{
	struct bc_volume_config config;
	char text[600];

	snprintf(text, sizeof(text), "[volume]\nbacking=/%0250d\n", 1);
	EXPECT(load_text(&config, text) == -EINVAL);
	EXPECT_SAYS(error.text, "v.conf:2: line longer");
	snprintf(text, sizeof(text), "[volume]\nbacking=/dev/x\n[link %060d]\nasync=no\n", 1);
	EXPECT(load_text(&config, text) == -EINVAL);
	EXPECT_SAYS(error.text, "v.conf:4");
}

static void save_refuses(void)
{
	struct bc_volume_config config = { .name = "v" };

	strcpy(config.backing, "/dev/a ;b");
	EXPECT(bc_volume_config_save(&config, &error) == -EINVAL);
	strcpy(config.backing, "/dev/a\vb");
	EXPECT(bc_volume_config_save(&config, &error) == -EINVAL);
	strcpy(config.backing, "/dev/a\nack=disk");
	EXPECT(bc_volume_config_save(&config, &error) == -EINVAL);
	strcpy(config.backing, "/dev/a");
	strcpy(config.name, "..");
	EXPECT(bc_volume_config_save(&config, &error) == -EINVAL);
	strcpy(config.name, "v");
	EXPECT(bc_volume_config_add_link(&config, "a"));
	memset(config.link[0].address.host, 'h', 177);
	strcpy(config.link[0].address.port, "80");
	EXPECT(!bc_volume_config_save(&config, &error));
	config.link[0].address.host[177] = 'h';
	EXPECT(bc_volume_config_save(&config, &error) == -EINVAL);
	EXPECT_SAYS(error.text, "address of a is longer");
	bc_volume_config_release(&config);
}

static void all_volumes(void)
{
	struct bc_volume_config *configs;
	size_t count;

	put_file("volumes.d/v.conf", "[volume]\nbacking=/dev/x\n");
	put_file("volumes.d/a.conf", "[volume]\nbacking=/dev/y\n");
	put_file("volumes.d/.a.conf.new", "half");
	put_file("volumes.d/a.conf~", "old");
	EXPECT(!bc_volume_configs_load(&configs, &count, &error));
	EXPECT(count == 2 && !strcmp(configs[0].name, "a") &&
	       !strcmp(configs[1].name, "v"));
	bc_volume_configs_free(configs, count);
	put_file("volumes.d/a.conf", "[volume]\nbacking=/dev/y\nx=1\n");
	EXPECT(bc_volume_configs_load(&configs, &count, &error) == -EINVAL);
	EXPECT_SAYS(error.text, "a.conf:3");
	EXPECT(count == 1 && !strcmp(configs[0].name, "v"));
	put_file("volumes.d/v.conf", "[volume]\n");
	bc_volume_configs_free(configs, count);
	EXPECT(bc_volume_configs_load(&configs, &count, &error) == -EINVAL && !count);
	EXPECT_SAYS(error.text, "a.conf:3");
	EXPECT_SAYS(error.text, "(and 1 more wrong)");
	bc_volume_configs_free(configs, count);
	EXPECT(!bc_volume_config_remove("a", &error));
	EXPECT(bc_volume_config_remove("a", &error) == -ENOENT);
}

static void metadata_end(void)
{
	struct bc_volume_config config;
	struct stat status;
	char path[256];

	EXPECT(!load_text(&config, "[volume]\nbacking = /dev/x\n") && !config.meta_end);
	EXPECT(!bc_volume_end_save("v", 64ULL << 40, &error));
	EXPECT(!bc_volume_config_load(&config, "v", &error) &&
	       config.meta_end == 64ULL << 40);
	EXPECT(!bc_volume_end_save("v", 4096, &error));
	EXPECT(!bc_volume_config_load(&config, "v", &error) && config.meta_end == 4096);
	put_file("volumes.d/v.end", "");
	EXPECT(bc_volume_config_load(&config, "v", &error) == -EINVAL);
	EXPECT_SAYS(error.text, "v.end");
	EXPECT(!bc_volume_config_remove("v", &error));
	snprintf(path, sizeof(path), "%s/volumes.d/v.end", folder);
	EXPECT(stat(path, &status) && errno == ENOENT);
}

static void daemon_config(void)
{
	struct bc_daemon_config config;

	put_file("blkcast.conf", "[daemon]\nnode = here\n");
	EXPECT(!bc_daemon_config_load(&config, &error));
	EXPECT(!strcmp(config.listen.host, "0.0.0.0") && !strcmp(config.node, "here"));
	EXPECT(!strcmp(config.listen.port, BC_PORT_DEFAULT));
	EXPECT_SAYS(config.key, "/key");
	put_file("blkcast.conf", "[daemon]\nlisten = [::]:1234\nkey=/k\nnode=n\n");
	EXPECT(!bc_daemon_config_load(&config, &error));
	EXPECT(!strcmp(config.listen.host, "::") && !strcmp(config.listen.port, "1234"));
	EXPECT(!config.send_store[0]);
	put_file("blkcast.conf", "[daemon]\nnode = n\nsend-store = /var/tmp/old:20G\n");
	EXPECT(!bc_daemon_config_load(&config, &error));
	EXPECT(!strcmp(config.send_store, "/var/tmp/old:20G"));
	put_file("blkcast.conf", "[daemon]\nnode = n\nsend-store = old:20G\n");
	EXPECT(bc_daemon_config_load(&config, &error) == -EINVAL);
	EXPECT_SAYS(error.text, "blkcast.conf:3: send-store 'old:20G'");
	put_file("blkcast.conf", "[daemon]\nlisten = 1.2.3.4:99999\n");
	EXPECT(bc_daemon_config_load(&config, &error) == -EINVAL);
	EXPECT_SAYS(error.text, "blkcast.conf:2");
}

static void certificates(void)
{
	static const char * const bad[] = {
		"certificate = /c\n", "certificate = /c\nprivate-key = /p\n",
		"ca = /a\n", "crl = /r\n", "certificate = c\nprivate-key = /p\nca = /a\n",
		"certificate-domain = .example.com\n", "certificate-domain = a b\n",
		"accept-key = maybe\n",
	};
	struct bc_daemon_config config;
	char text[256];

	put_file("blkcast.conf", "[daemon]\nnode = n\ncertificate = /c\nprivate-key = /p\n"
		 "ca = /a\ncrl = /r\ncertificate-domain = example.com\naccept-key = yes\n");
	EXPECT(!bc_daemon_config_load(&config, &error));
	EXPECT(!strcmp(config.certificate, "/c") && !strcmp(config.private_key, "/p"));
	EXPECT(!strcmp(config.ca, "/a") && !strcmp(config.crl, "/r"));
	EXPECT(!strcmp(config.domain, "example.com") && config.accept_key);
	for (size_t i = 0; i < BC_ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "[daemon]\nnode = n\n%s", bad[i]);
		put_file("blkcast.conf", text);
		EXPECT(bc_daemon_config_load(&config, &error) == -EINVAL);
		EXPECT_SAYS(error.text, "blkcast.conf");
	}
}

static void allowed_nodes(void)
{
	struct bc_volume_config config;

	put_file("volumes.d/v.conf", "[volume]\nbacking = /b\n");
	EXPECT(!bc_volume_config_load(&config, "v", &error) && bc_volume_allows(&config, "g1"));
	bc_volume_config_release(&config);
	put_file("volumes.d/v.conf", "[volume]\nbacking = /b\nallow = g1  g2.x\n");
	for (int i = 0; i < 2; i++) {
		EXPECT(!bc_volume_config_load(&config, "v", &error));
		EXPECT(bc_volume_allows(&config, "g1") && bc_volume_allows(&config, "g2.x"));
		EXPECT(!bc_volume_allows(&config, "g") && !bc_volume_allows(&config, "g11") &&
		       !bc_volume_allows(&config, "g2") && !bc_volume_allows(&config, ""));
		/* It outlives the commands that edit the file. */
		EXPECT(!bc_volume_config_save(&config, &error));
		bc_volume_config_release(&config);
	}
	put_file("volumes.d/v.conf", "[volume]\nbacking = /b\nallow = g1 /x\n");
	EXPECT(bc_volume_config_load(&config, "v", &error) == -EINVAL);
	put_file("volumes.d/v.conf", "[volume]\nbacking = /b\nallow =\n");
	EXPECT(bc_volume_config_load(&config, "v", &error) == -EINVAL);
	EXPECT(!bc_volume_config_remove("v", &error));
}

static void durations_parsed(void)
{
	static const struct { const char *text; uint64_t ns; } good[] = {
		{ "5s", 5000000000 }, { "500ms", 500000000 }, { "1.5m", 90000000000 },
		{ "0s", 0 }, { "2h", 7200000000000 }, { "10us", 10000 }, { "7ns", 7 },
	};
	static const char *const bad[] = {
		"", "5", "s", "5 s", "-1s", "5sec", "nans", "infs", "1e30h",
	};
	uint64_t ns;

	for (size_t i = 0; i < BC_ARRAY_SIZE(good); i++)
		EXPECT(!bc_duration_parse(good[i].text, &ns) && ns == good[i].ns);
	for (size_t i = 0; i < BC_ARRAY_SIZE(bad); i++)
		EXPECT(bc_duration_parse(bad[i], &ns) < 0);
}

static void clean_up(void)
{
	char command[256];

	snprintf(command, sizeof(command), "rm -r %s", folder);
	EXPECT(!system(command));
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "a volume's file: written and read", volume_round_trip },
		{ "a volume's file: a link without an address", link_without_address },
		{ "a volume's file: errors with file and line", volume_refused },
		{ "lines that the parser would cut are refused", long_lines_refused },
		{ "what could not be read back is not written", save_refuses },
		{ "all volumes, by name", all_volumes },
		{ "where metadata end is remembered", metadata_end },
		{ "the daemon's file", daemon_config },
		{ "certificates", certificates },
		{ "who may have to do with a volume", allowed_nodes },
		{ "times with a unit", durations_parsed },
		{ "clean up", clean_up },
	};

	if (!mkdtemp(folder) || setenv("BLKCAST_CONFIG_DIR", folder, 1))
		ksft_exit_fail_msg("no temporary folder\n");
	run_tests(tests, BC_ARRAY_SIZE(tests));
}
