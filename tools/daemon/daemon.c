// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * blkcastd: start, run, stop.  Links outlive the daemon: stopping it touches
 * none of them.
 */
#include <errno.h>
#include <getopt.h>
#include <poll.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/signalfd.h>
#include <unistd.h>

#include "daemon.h"
#include "forget.h"
#include "join.h"
#include "lock.h"
#include "log.h"
#include "notify.h"
#include "steady.h"

#define DAY_MS	(24 * 3600 * 1000)

/* --- what handshakes need of the kernel --------------------------------------- */

static int no_module(struct bc_error *error)
{
	return bc_fail(error, -ENODEV, "the blkcast module is not loaded here");
}

static int ops_get(void *arg, const char *volume, struct bc_volume *state,
		   struct bc_error *error)
{
	struct daemon *daemon = arg;

	if (!daemon->kernel)
		return no_module(error);
	if (control_holds(daemon, volume))
		return bc_fail(error, -EBUSY,
			       "volume %s is being worked on by an administrator of %s",
			       volume, daemon->config.node);
	return bc_kernel_get(daemon->kernel, volume, state, error);
}

static int ops_link_add(void *arg, const struct bc_link_add *add,
			struct bc_error *error)
{
	struct daemon *daemon = arg;
	int ret = 0;

	if (!daemon->kernel)
		return no_module(error);
	if (add->history)	/* this is the replica's end */
		ret = fallback_make(daemon, add->name, error);
	return ret ? ret : bc_kernel_link_add(daemon->kernel, add, error);
}

static int ops_link_del(void *arg, const char *volume, const char *link,
			struct bc_error *error)
{
	struct daemon *daemon = arg;

	return daemon->kernel ? bc_kernel_link_del(daemon->kernel, volume, link, error) :
	       no_module(error);
}

static void ops_offered(void *arg, const char *volume, const char *peer,
			const struct offer *offer)
{
	offers_take(arg, volume, peer, offer);
}

static int ops_forget(void *arg, const char *volume, const char *peer,
		      const struct offer *offer, struct bc_error *error)
{
	return forget_copy(arg, volume, peer, offer, error);
}

static int ops_renew(void *arg, const char *volume, const char *link,
		     struct bc_error *error)
{
	return peers_switch(arg, volume, link, error);
}

static bool ops_allows(void *arg, const char *volume, const char *peer)
{
	struct daemon *daemon = arg;

	for (size_t i = 0; i < daemon->config_count; i++) {
		if (!strcmp(daemon->configs[i].name, volume))
			return bc_volume_allows(&daemon->configs[i], peer);
	}
	return true;	/* there is none here */
}

static void ops_depose(void *arg, const char *volume, const char *peer,
		       uint32_t term)
{
	struct daemon *daemon = arg;
	struct bc_error error;

	log_warning("volume %s: %s knows a primary of term %u: no more writes here",
		    volume, peer, term);
	if (bc_kernel_depose(daemon->kernel, volume, term, &error))
		log_error("%s", error.text);
}

/* --- configuration --------------------------------------------------------------- */

/* Takes @configs. */
static int configure(struct daemon *daemon, struct bc_volume_config *configs,
		     size_t count, struct bc_error *error)
{
	int ret;

	bc_volume_configs_free(daemon->configs, daemon->config_count);
	daemon->configs = configs;
	daemon->config_count = count;
	ret = peers_configure(daemon, error);
	peers_apply(daemon);
	return ret;
}

int daemon_reload(struct daemon *daemon, struct bc_error *error)
{
	struct bc_volume_config *configs;
	size_t count;
	int ret;

	ret = bc_volume_configs_load(&configs, &count, error);
	if (!ret)
		return configure(daemon, configs, count, error);
	bc_volume_configs_free(configs, count);
	return ret;
}

/* There is no old one to keep: a volume whose file is wrong does without the daemon. */
static int load_first(struct daemon *daemon, struct bc_error *error)
{
	struct bc_volume_config *configs;
	size_t count;
	int ret;

	ret = bc_volume_configs_load(&configs, &count, error);
	if (ret && !configs)
		return ret;
	if (ret)
		log_error("%s; no links for a volume whose file is wrong: mend it, then 'systemctl reload blkcastd'",
			  error->text);
	return configure(daemon, configs, count, error);
}

/* Nobody may look at it for years, so it speaks up in time, every day. */
static void complain(void *owner)
{
	struct daemon *daemon = owner;
	struct bc_error error;

	loop_timer(daemon->loop, &daemon->daily, DAY_MS);
	if (daemon->secrets.certs &&
	    certs_complain(daemon->secrets.certs, daemon->config.node, &error))
		log_warning("%s", error.text);
}

void daemon_reload_secrets(struct daemon *daemon)
{
	struct bc_daemon_config config;
	struct secrets secrets;
	struct bc_error error;

	if (bc_daemon_config_load(&config, &error) ||
	    secrets_load(&secrets, &config, &error)) {
		log_error("%s; links are made by the old ones", error.text);
		return;
	}
	/* Where it listens, and who it is, stays. */
	config.listen = daemon->config.listen;
	strcpy(config.node, daemon->config.node);
	daemon->config = config;
	secrets_release(&daemon->secrets);
	daemon->secrets = secrets;
	complain(daemon);
	expiry_loaded(daemon);
}

/* --- signals ----------------------------------------------------------------------- */

struct signals {
	struct daemon *daemon;
	struct watch watch;
	int fd;
};

static void hangup(struct daemon *daemon)
{
	struct bc_error error;

	notify_systemd("RELOADING=1");
	daemon_reload_secrets(daemon);
	if (daemon_reload(daemon, &error))
		log_error("%s; the old configuration stays", error.text);
	else
		log_info("configuration read");
	notify_systemd("READY=1");
}

static void signal_ready(void *owner, uint32_t events)
{
	struct signals *signals = owner;
	struct signalfd_siginfo info;

	(void)events;
	while (read(signals->fd, &info, sizeof(info)) == sizeof(info)) {
		if (info.ssi_signo == SIGHUP)
			hangup(signals->daemon);
		else
			signals->daemon->quit = true;
	}
	if (loop_watch(signals->daemon->loop, &signals->watch, signals->fd, POLLIN))
		log_error("out of memory: signals are not seen any more");
}

static int signals_start(struct signals *signals, struct daemon *daemon,
			 struct bc_error *error)
{
	sigset_t set;

	sigemptyset(&set);
	sigaddset(&set, SIGTERM);
	sigaddset(&set, SIGINT);
	sigaddset(&set, SIGHUP);
	sigprocmask(SIG_BLOCK, &set, NULL);
	signal(SIGPIPE, SIG_IGN);
	signals->daemon = daemon;
	signals->watch.fn = signal_ready;
	signals->watch.owner = signals;
	signals->fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (signals->fd < 0)
		return bc_fail_errno(error, -errno, "cannot wait for signals");
	if (loop_watch(daemon->loop, &signals->watch, signals->fd, POLLIN))
		return bc_fail(error, -ENOMEM, "out of memory");
	return 0;
}

/* --- the whole ------------------------------------------------------------------------ */

/* Without it only links that are plain can be made; that is told, and no reason to end. */
static void prepare_tls(void)
{
	struct bc_error error;

	if (tls_prepare(&error))
		log_error("no links by TLS: %s", error.text);
}

static int start(struct daemon *daemon, struct bc_error *error)
{
	int ret;

	daemon->ops = (struct handshake_ops){
		ops_get, ops_link_add, ops_link_del, daemon, ops_offered, ops_forget,
		ops_depose,
		join_answer, join_stream, ops_renew, ops_allows
	};
	daemon->daily.fn = complain;
	daemon->daily.owner = daemon;
	ret = bc_daemon_config_load(&daemon->config, error);
	if (!ret)
		ret = secrets_load(&daemon->secrets, &daemon->config, error);
	if (!ret) {
		complain(daemon);
		expiry_loaded(daemon);
		ret = watcher_start(daemon, error);
	}
	if (!ret)
		renew_recover(daemon);
	if (!ret)
		prepare_tls();
	if (!ret)
		ret = control_start(daemon, error);
	if (!ret)
		ret = listener_start(daemon, error);
	if (!ret)
		ret = load_first(daemon, error);
	return ret;
}

static void stop(struct daemon *daemon)
{
	loop_timer_stop(daemon->loop, &daemon->daily);
	listener_stop(daemon);
	control_stop(daemon);
	peers_free(daemon);
	renew_stop();
	offers_free(daemon);
	watcher_stop(daemon);
	bc_volume_configs_free(daemon->configs, daemon->config_count);
	secrets_release(&daemon->secrets);
}

static int turn_until_told(struct daemon *daemon, struct bc_error *error)
{
	int ret;

	while (!daemon->quit) {
		ret = loop_turn(daemon->loop);
		if (ret)
			return bc_fail_errno(error, ret, "io_uring");
	}
	return 0;
}

static int run(struct bc_error *error)
{
	struct daemon daemon = { 0 };
	struct signals signals = { .fd = -1 };
	int lock, ret;

	lock = lock_take(error);
	if (lock < 0)
		return lock;
	ret = loop_new(&daemon.loop, error);
	if (ret)
		goto cleanup;
	ret = signals_start(&signals, &daemon, error);
	steady_begin();
	if (!ret)
		ret = start(&daemon, error);
	if (!ret) {
		log_info("node %s, listening on %s port %s", daemon.config.node,
			 daemon.config.listen.host, daemon.config.listen.port);
		notify_systemd("READY=1");
		ret = turn_until_told(&daemon, error);
		notify_systemd("STOPPING=1");
	}
	stop(&daemon);
	loop_free(daemon.loop);
cleanup:
	if (signals.fd >= 0)
		close(signals.fd);
	close(lock);
	return ret;
}

static void print_help(void)
{
	printf("Usage: blkcastd\n\n"
	       "Connects the volumes of this host with their peers and takes the peers'\n"
	       "connections. Runs in the foreground and logs to stderr; SIGHUP reads the\n"
	       "configuration anew; see blkcastd(8).\n\n"
	       "  --help     this\n"
	       "  --version\n");
}

int main(int argc, char **argv)
{
	static const struct option options[] = {
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'v' },
		{ NULL, 0, NULL, 0 }
	};
	struct bc_error error;
	int c;

	while ((c = getopt_long(argc, argv, "h", options, NULL)) != -1) {
		if (c == 'h')
			print_help();
		else if (c == 'v')
			printf("blkcastd %s\n", BLKCAST_VERSION);
		return c == 'h' || c == 'v' ? 0 : 2;
	}
	if (optind < argc) {
		fprintf(stderr, "Usage: blkcastd\n");
		return 2;
	}
	log_init();
	if (run(&error)) {
		log_error("%s", error.text);
		return 1;
	}
	return 0;
}
