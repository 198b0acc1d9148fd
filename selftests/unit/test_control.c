// SPDX-License-Identifier: GPL-2.0-or-later
/* The control socket: whom it lets in, and that everybody is answered in his turn. */
/* links: tools/daemon/control.c tools/daemon/json.c tools/lib/util.c tools/lib/error.c */
/* libs: json-c gnutls uuid */
/* flags: -lm -Wno-format-truncation */
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include "expect.h"
#include "fake_daemon.h"
#include "util.h"

#define NOBODY 65534

static char folder[] = "/tmp/blkcast-control-XXXXXX";
static struct sockaddr_un address = { .sun_family = AF_UNIX };
static struct daemon state = { .loop = &fake_loop, .config = { .node = "g1" } };

static void start(void)
{
	struct bc_error error;

	memset(&fake, 0, sizeof(fake));
	fake.link = (struct peer_report){ .volume = "data", .peer = "g2", .state = "waiting" };
	EXPECT(!control_start(&state, &error));
}

static int client(void)
{
	int fd = socket(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0);

	EXPECT(!connect(fd, (struct sockaddr *)&address, sizeof(address)));
	return fd;
}

static void say(int fd, const char *text)
{
	EXPECT(send(fd, text, strlen(text), MSG_NOSIGNAL) == (ssize_t)strlen(text));
	fake_turn();
}

/* What has been answered; -1: it has hung up. */
static int heard(int fd, char text[4096])
{
	ssize_t n;

	fake_turn();
	n = recv(fd, text, 4095, MSG_DONTWAIT);
	text[n > 0 ? n : 0] = 0;
	return n > 0 || (n < 0 && errno == EAGAIN) ? 0 : -1;
}

static void expect_answer(int fd, const char *answer)
{
	char text[4096];

	EXPECT(!heard(fd, text));
	EXPECT_SAYS(text, answer);
}

static void for_the_owner(void)
{
	struct stat st;

	umask(0);
	start();
	EXPECT(!stat(address.sun_path, &st) && S_ISSOCK(st.st_mode));
	EXPECT(!(st.st_mode & 077) && st.st_uid == geteuid());
	control_stop(&state);
	EXPECT(stat(address.sun_path, &st));
}

/* Even where somebody has opened the socket to all. */
static void for_nobody_else(void)
{
	char text[4096];
	int fd;

	start();
	EXPECT(!chmod(folder, 0755) && !chmod(address.sun_path, 0777));
	if (seteuid(NOBODY)) {
		ksft_print_msg("only root can be somebody else\n");
	} else {
		fd = client();
		EXPECT(!seteuid(0));
		say(fd, "{\"request\":\"status\"}\n");
		EXPECT(heard(fd, text) && !text[0] && !state.clients);
		close(fd);
	}
	fd = client();
	say(fd, "{\"request\":\"status\"}\n");
	expect_answer(fd, "\"node\":\"g1\"");
	close(fd);
	fake_turn();
	control_stop(&state);
}

static void in_turn(void)
{
	char text[4096];
	int fd;

	start();
	fd = client();
	say(fd, "{\"request\":\"wait-link\",\"volume\":\"data\",\"peer\":\"g2\",\"timeout_ms\":5}\n"
		"{\"request\":\"status\"}\n");
	EXPECT(!heard(fd, text) && !text[0]);
	fake_time_is_up();
	EXPECT(!heard(fd, text));
	EXPECT_SAYS(text, "no answer yet\",\"permanent\":false}\n{\"node\":\"g1\"");
	say(fd, "nonsense\n");
	expect_answer(fd, "no such request");
	close(fd);
	fake_turn();
	EXPECT(!state.clients);
	control_stop(&state);
}

static void certificate(void)
{
	char text[4096];
	int fd;

	start();
	fd = client();
	say(fd, "{\"request\":\"status\"}\n");
	EXPECT(!heard(fd, text) && !strstr(text, "certificate"));
	state.secrets.certs = (struct certs *)&state;	/* only fakes look at it */
	say(fd, "{\"request\":\"status\"}\n");
	EXPECT(!heard(fd, text) && !strstr(text, "complaint"));
	EXPECT_SAYS(text, "\"certificate_ends\":1234567890");
	EXPECT_SAYS(text, "\"peer_certificates\":{}");
	EXPECT(!strstr(text, "certificate_authority_ends"));
	state.expiry = (struct bc_expiry){
		.authority = 1234567891, .peers = 1, .peer = { { "g2", 1234567892 } },
	};
	say(fd, "{\"request\":\"status\"}\n");
	EXPECT(!heard(fd, text));
	EXPECT_SAYS(text, "\"certificate_authority_ends\":1234567891");
	EXPECT_SAYS(text, "\"peer_certificates\":{\"g2\":1234567892}");
	fake.complains = true;
	say(fd, "{\"request\":\"status\"}\n");
	expect_answer(fd, "\"certificate_complaint\":\"is not for g1\"");
	state.secrets.certs = NULL;
	close(fd);
	fake_turn();
	control_stop(&state);
}

/* The old link is no answer; nor is one that stays because no other could be made. */
static void made_anew(void)
{
	static const char request[] =
		"{\"request\":\"reconnect\",\"volume\":\"data\",\"peer\":\"g2\",\"timeout_ms\":5}\n";
	char text[4096];
	int fd;

	start();
	fd = client();
	fake.link.linked = true;
	say(fd, request);
	control_links_changed(&state);
	EXPECT(!heard(fd, text) && !text[0]);
	fake.link.renewing = false;
	control_links_changed(&state);
	expect_answer(fd, "\"linked\"");
	say(fd, request);
	fake.link.renewing = false;
	fake.link.not_renewed = "wrong key";
	control_links_changed(&state);
	expect_answer(fd, "\"failed\",\"reason\":\"wrong key\"");
	fake.link.not_renewed = NULL;
	say(fd, request);
	fake_time_is_up();
	expect_answer(fd, "still being made anew");
	fake.busy = true;
	say(fd, request);
	expect_answer(fd, "\"error\":\"volume data: try again\"");
	say(fd, "{\"request\":\"reload\"}\n");
	expect_answer(fd, "{}");
	EXPECT(fake.secrets == 1);
	close(fd);
	fake_turn();
	control_stop(&state);
}

/* Who does not read is not heard either, so nothing piles up here. */
static void not_read(void)
{
	static const char request[] = "{\"request\":\"status\"}\n";
	unsigned int said = 0, answered = 0;
	char text[4096];
	int fd;

	start();
	fd = client();
	while (said < 1000000 && send(fd, request, sizeof(request) - 1,
				      MSG_NOSIGNAL) == sizeof(request) - 1) {
		said++;
		fake_turn();
	}
	EXPECT(said > 10 && said < 1000000);
	while (!heard(fd, text) && text[0]) {
		for (const char *at = text; *at; at++)
			answered += *at == '\n';
	}
	EXPECT(answered == said);
	close(fd);
	fake_turn();
	EXPECT(!state.clients);
	control_stop(&state);
}

static void hangs_up(void)
{
	int fd;

	start();
	fd = client();
	say(fd, "{\"request\":\"hold\",\"volume\":\"data\"}\n");
	EXPECT(control_holds(&state, "data") && fake.applied == 1);
	close(fd);
	fake_turn();
	EXPECT(!control_holds(&state, "data") && fake.applied == 2);
	fd = client();
	say(fd, "{\"request\":\"forget\",\"volume\":\"data\",\"peer\":\"g2\"}\n");
	EXPECT(fake.forget);
	fake_forget_done(HANDSHAKE_DONE);
	expect_answer(fd, "\"state\":\"forgotten\"");
	say(fd, "{\"request\":\"forget\",\"volume\":\"data\",\"peer\":\"g2\"}\n");
	EXPECT(fake.forget);
	close(fd);
	fake_turn();
	EXPECT(!fake.forget && !state.clients);
	control_stop(&state);
}

static void remove_folder(void)
{
	rmdir(folder);
}

int main(void)
{
	static const struct unit_test tests[] = {
		{ "the socket is its owner's alone, whatever the umask", for_the_owner },
		{ "another user is sent away", for_nobody_else },
		{ "what is asked while a client waits is answered afterwards", in_turn },
		{ "until when the certificate is good", certificate },
		{ "a link by a new connection is waited for", made_anew },
		{ "a client that does not read is not heard", not_read },
		{ "a client that hangs up holds nothing and asks nothing", hangs_up },
	};

	if (!mkdtemp(folder) || setenv("BLKCAST_RUN_DIR", folder, 1))
		ksft_exit_fail_msg("no temporary folder\n");
	snprintf(address.sun_path, sizeof(address.sun_path), "%s/control", folder);
	atexit(remove_folder);
	run_tests(tests, BC_ARRAY_SIZE(tests));
}
