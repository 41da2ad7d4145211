/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * Clients of a listener that takes tokens by TLS, on 127.0.0.1: newcomers who handshake and ask
 * once, a regular who keeps a connection, guessers whose tokens are wrong, and those who begin
 * handshakes and do not end them, and begin another one when they are let go. Writes what became of
 * them as JSON. Whoever is meant to come, comes, however late the server is.
 */
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>
#include <sys/epoll.h>
#include <sys/queue.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "proto/util.h"

#define TICK_US	       5000
#define REGULAR_US     20000 /* from one request to the next */
#define NEWCOMERS_FROM 200   /* addresses */
#define GUESSERS_MAX   256   /* connections */
#define NEWCOMERS_MAX  4096  /* under way */

enum kind { KIND_NEWCOMER, KIND_REGULAR, KIND_GUESSER, KIND_HALF, KINDS };
enum phase { PHASE_CONNECTING, PHASE_HANDSHAKE, PHASE_IDLE, PHASE_ASKED };

struct client {
	TAILQ_ENTRY(client) entry;
	enum kind kind;
	enum phase phase;
	unsigned int n; /* of its kind */
	int fd;
	uint32_t events;
	SSL *ssl;      /* NULL for half a handshake */
	int64_t since; /* us, when the answer began to be waited for */
	char head[1024];
	size_t got, whole; /* of the answer, bytes; whole 0: not known yet */
};

/* Microseconds of each answer. */
struct times {
	uint32_t *us;
	size_t n, size;
};

/* What became of them. */
struct outcome {
	unsigned int begun, failed, skipped;
	unsigned int status[6]; /* by class; 0 for what is none */
	unsigned int busy;	/* 429 among them */
	struct times times;
};

static struct {
	uint16_t port;
	unsigned int seconds, newcomers, half, wrong, attackers, patience;
	char token[128];
} want = { .seconds = 10, .attackers = 1, .patience = 10 };

static TAILQ_HEAD(clients, client) waiting = TAILQ_HEAD_INITIALIZER(waiting),
				   idle = TAILQ_HEAD_INITIALIZER(idle);
static struct outcome outcomes[KINDS];
static unsigned int under_way[KINDS], half_held;
static char hello[2048];
static int hello_len, ep;
static SSL_CTX *ctx;
static bool over; /* nobody new comes */

static void __attribute__((noreturn)) die(const char *what)
{
	fprintf(stderr, "siege_load: %s: %s\n", what, strerror(errno));
	exit(1);
}

static void
note_time(struct times *times, int64_t us)
{
	if (times->n == times->size) {
		times->size = times->size ? 2 * times->size : 1024;
		times->us = xrealloc(times->us, times->size, sizeof(*times->us));
	}
	times->us[times->n++] = (uint32_t)us;
}

static void
watch(struct client *c, uint32_t events)
{
	struct epoll_event event = { .events = events, .data.ptr = c };

	if (events == c->events)
		return;
	if (epoll_ctl(ep, c->events ? EPOLL_CTL_MOD : EPOLL_CTL_ADD, c->fd, &event) < 0)
		die("epoll");
	c->events = events;
}

/* From where: those of a kind that attacks from few addresses, others from many. */
static struct in_addr
source(enum kind kind, unsigned int n)
{
	unsigned int of = kind == KIND_NEWCOMER ? NEWCOMERS_FROM : want.attackers;

	n = kind == KIND_REGULAR ? 0 : n % of;
	return (struct in_addr){ htonl(
	    0x7f000000U | ((unsigned int)kind + 1) << 16 | (n / 250) << 8 | (1 + n % 250)) };
}

static void
connect_client(struct client *c)
{
	struct sockaddr_in to = { .sin_family = AF_INET, .sin_port = htons(want.port) };
	struct sockaddr_in from = { .sin_family = AF_INET };
	int on = 1;

	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	from.sin_addr = source(c->kind, c->n);
	c->events = 0;
	c->phase = PHASE_CONNECTING;
	c->fd = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (c->fd < 0)
		die("socket");
	setsockopt(c->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &on, sizeof(on));
	setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof(on));
	if (bind(c->fd, (struct sockaddr *)&from, sizeof(from)) < 0)
		die("bind");
	if (connect(c->fd, (struct sockaddr *)&to, sizeof(to)) < 0 && errno != EINPROGRESS)
		die("connect");
	if (c->kind != KIND_HALF) {
		c->ssl = SSL_new(ctx);
		if (!c->ssl || SSL_set_fd(c->ssl, c->fd) != 1)
			die("SSL");
		SSL_set_connect_state(c->ssl);
	}
	watch(c, EPOLLOUT);
}

static struct client *
client_new(enum kind kind)
{
	struct client *c = xcalloc(1, sizeof(*c));

	c->kind = kind;
	c->n = outcomes[kind].begun++;
	c->since = monotonic_us();
	under_way[kind]++;
	connect_client(c);
	TAILQ_INSERT_TAIL(&waiting, c, entry);
	return c;
}

static void
disconnect(struct client *c)
{
	const struct linger abort = { .l_onoff = 1 };

	if (c->ssl && c->phase >= PHASE_IDLE)
		(void)SSL_shutdown(c->ssl);
	else
		setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &abort, sizeof(abort));
	ERR_clear_error();
	SSL_free(c->ssl);
	c->ssl = NULL;
	close(c->fd);
}

static void
client_free(struct client *c)
{
	TAILQ_REMOVE(c->phase == PHASE_IDLE ? &idle : &waiting, c, entry);
	disconnect(c);
	under_way[c->kind]--;
	free(c);
}

/* It was let go, or has waited for too long. */
static void
client_lost(struct client *c)
{
	if (c->phase != PHASE_IDLE)
		outcomes[c->kind].failed++;
	client_free(c);
}

static void
ask(struct client *c)
{
	static unsigned int guesses;
	char text[512];
	int len;

	if (c->phase == PHASE_IDLE) {
		TAILQ_REMOVE(&idle, c, entry);
		TAILQ_INSERT_TAIL(&waiting, c, entry);
		c->since = monotonic_us();
	}
	c->phase = PHASE_ASKED;
	c->got = c->whole = 0;
	len = c->kind == KIND_GUESSER
		  ? snprintf(text, sizeof(text),
			"GET /vms HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer "
			"virtx_%064x\r\n\r\n",
			++guesses)
		  : snprintf(text, sizeof(text),
			"GET /vms HTTP/1.1\r\nHost: localhost\r\nAuthorization: Bearer %s\r\n\r\n",
			want.token);
	/* A new connection takes that much at once. */
	if (SSL_write(c->ssl, text, len) != len) {
		client_lost(c);
		return;
	}
	watch(c, EPOLLIN);
}

static void
on_answer(struct client *c)
{
	struct outcome *outcome = &outcomes[c->kind];
	int status = 0;

	(void)sscanf(c->head, "HTTP/1.1 %d", &status);
	outcome->status[status > 0 && status < 600 ? status / 100 : 0]++;
	outcome->busy += status == 429;
	note_time(&outcome->times, monotonic_us() - c->since);
	TAILQ_REMOVE(&waiting, c, entry);
	TAILQ_INSERT_TAIL(&idle, c, entry);
	c->phase = PHASE_IDLE;
	if (c->kind == KIND_NEWCOMER)
		client_free(c);
}

/* How long the whole answer is, once its head is there. */
static void
read_head(struct client *c)
{
	const char *end = strstr(c->head, "\r\n\r\n");
	const char *length = strcasestr(c->head, "\r\nContent-Length: ");

	if (end && length && length < end)
		c->whole = (size_t)(end + 4 - c->head) + strtoul(length + 18, NULL, 10);
}

/* What has come. */
static void
take(struct client *c, const char *data, size_t len)
{
	size_t room = sizeof(c->head) - 1 > c->got ? sizeof(c->head) - 1 - c->got : 0;

	if (c->whole == 0 && room > 0) {
		memcpy(c->head + c->got, data, len < room ? len : room);
		c->head[c->got + (len < room ? len : room)] = '\0';
	}
	c->got += len;
	if (c->whole == 0)
		read_head(c);
}

static void
on_readable(struct client *c)
{
	char data[16384];
	int n;

	while ((n = SSL_read(c->ssl, data, sizeof(data))) > 0) {
		if (c->phase != PHASE_ASKED)
			continue;
		take(c, data, (size_t)n);
		if (c->whole > 0 && c->got >= c->whole) {
			bool last = c->kind == KIND_NEWCOMER;

			on_answer(c);
			if (last)
				return;
		}
	}
	n = SSL_get_error(c->ssl, n);
	ERR_clear_error();
	if (n != SSL_ERROR_WANT_READ && n != SSL_ERROR_WANT_WRITE)
		client_lost(c);
}

static void
handshake(struct client *c)
{
	int rc = SSL_do_handshake(c->ssl);
	int why = SSL_get_error(c->ssl, rc);

	ERR_clear_error();
	c->phase = PHASE_HANDSHAKE;
	if (rc == 1)
		ask(c);
	else if (why == SSL_ERROR_WANT_READ)
		watch(c, EPOLLIN);
	else if (why == SSL_ERROR_WANT_WRITE)
		watch(c, EPOLLOUT);
	else
		client_lost(c);
}

/* Nothing, the beginning of a record, or all that a client says first. */
static void
begin_half(struct client *c)
{
	static const int parts[] = { 0, 3, sizeof(hello) };
	int len = parts[c->n % ARRAY_SIZE(parts)];

	c->phase = PHASE_HANDSHAKE;
	half_held++;
	if (len > hello_len)
		len = hello_len;
	if (len > 0)
		(void)!send(c->fd, hello, (size_t)len, MSG_NOSIGNAL);
	watch(c, EPOLLIN | EPOLLRDHUP);
}

/* Another one takes the place of one that was let go. */
static void
on_half(struct client *c, uint32_t events)
{
	char data[4096];

	if (events & (EPOLLERR | EPOLLHUP | EPOLLRDHUP)) {
		half_held -= c->phase == PHASE_HANDSHAKE;
		disconnect(c);
		outcomes[KIND_HALF].begun++;
		connect_client(c);
	} else if (c->phase == PHASE_CONNECTING) {
		begin_half(c);
	} else {
		(void)!recv(c->fd, data, sizeof(data), 0);
	}
}

static void
on_event(struct client *c, uint32_t events)
{
	if (c->kind == KIND_HALF)
		on_half(c, events);
	else if (c->phase == PHASE_CONNECTING && events & (EPOLLERR | EPOLLHUP))
		client_lost(c);
	else if (c->phase <= PHASE_HANDSHAKE)
		handshake(c);
	else
		on_readable(c);
}

static struct client *
find_idle(enum kind kind)
{
	struct client *c;

	TAILQ_FOREACH (c, &idle, entry) {
		if (c->kind == kind)
			return c;
	}
	return NULL;
}

static void
guess(void)
{
	struct client *c = find_idle(KIND_GUESSER);

	if (c)
		ask(c);
	else if (under_way[KIND_GUESSER] < GUESSERS_MAX)
		client_new(KIND_GUESSER);
	else
		outcomes[KIND_GUESSER].skipped++;
}

/* Those who were to have come by now. */
static void
let_come(int64_t us)
{
	static unsigned int guesses, regular;
	unsigned int due = (unsigned int)((double)us * want.newcomers / 1e6);
	struct client *c;

	while (outcomes[KIND_NEWCOMER].begun + outcomes[KIND_NEWCOMER].skipped < due) {
		if (under_way[KIND_NEWCOMER] < NEWCOMERS_MAX)
			client_new(KIND_NEWCOMER);
		else
			outcomes[KIND_NEWCOMER].skipped++;
	}
	for (due = (unsigned int)((double)us * want.wrong / 1e6); guesses < due; guesses++)
		guess();
	if (us / REGULAR_US <= regular)
		return;
	regular = (unsigned int)(us / REGULAR_US);
	if (under_way[KIND_REGULAR] == 0)
		client_new(KIND_REGULAR);
	else if ((c = find_idle(KIND_REGULAR)))
		ask(c);
	else
		outcomes[KIND_REGULAR].skipped++;
}

static void
drop_late(int64_t now)
{
	struct client *c, *next;

	for (c = TAILQ_FIRST(&waiting); c; c = next) {
		next = TAILQ_NEXT(c, entry);
		if (c->kind != KIND_HALF && now - c->since > INT64_C(1000000) * want.patience)
			client_lost(c);
	}
}

/* The mean of those handshakes that were half open. */
static double
run(void)
{
	int64_t start = monotonic_us(), end = start + INT64_C(1000000) * want.seconds, next = start;
	double held = 0;
	unsigned int ticks = 0;

	for (unsigned int i = 0; i < want.half; i++)
		client_new(KIND_HALF);
	while (!over || under_way[KIND_NEWCOMER] > 0) {
		struct epoll_event events[256];
		int64_t now = monotonic_us();
		int n;

		if (now >= next) {
			if (!over)
				let_come((now < end ? now : end) - start);
			drop_late(now);
			held += over ? 0 : half_held;
			ticks += !over;
			over = now >= end;
			next = now + TICK_US;
		}
		n = epoll_wait(ep, events, ARRAY_SIZE(events),
		    next > now ? (int)((next - now) / 1000) + 1 : 0);
		/* One event of each at most, so that none is of a client that has gone. */
		for (int i = 0; i < n; i++)
			on_event(events[i].data.ptr, events[i].events);
	}
	return ticks ? held / ticks : 0;
}

static int
compare(const void *a, const void *b)
{
	uint32_t x = *(const uint32_t *)a, y = *(const uint32_t *)b;

	return (x > y) - (x < y);
}

static double
quantile_ms(const struct times *times, double share)
{
	size_t at = (size_t)((double)times->n * share);

	if (times->n == 0)
		return 0;
	return times->us[at < times->n ? at : times->n - 1] / 1000.0;
}

static void
print_outcome(const char *name, struct outcome *o)
{
	struct times *times = &o->times;

	qsort(times->us, times->n, sizeof(*times->us), compare);
	printf("\"%s\": {\"begun\": %u, \"failed\": %u, \"skipped\": %u, \"answered\": %zu, "
	       "\"good\": %u, \"refused\": %u, \"busy\": %u, \"errors\": %u, \"p50\": %.1f, "
	       "\"p99\": %.1f, \"last\": %.1f},\n",
	    name, o->begun, o->failed, o->skipped, times->n, o->status[2], o->status[4], o->busy,
	    o->status[0] + o->status[1] + o->status[3] + o->status[5], quantile_ms(times, 0.5),
	    quantile_ms(times, 0.99), quantile_ms(times, 1));
}

static void
print(double held)
{
	struct rusage usage;

	getrusage(RUSAGE_SELF, &usage);
	printf("{");
	print_outcome("newcomers", &outcomes[KIND_NEWCOMER]);
	print_outcome("regular", &outcomes[KIND_REGULAR]);
	print_outcome("guesses", &outcomes[KIND_GUESSER]);
	printf("\"half\": {\"begun\": %u, \"held\": %.0f},\n\"cpu\": %.2f}\n",
	    outcomes[KIND_HALF].begun, held,
	    (double)(usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
		(double)(usage.ru_utime.tv_usec + usage.ru_stime.tv_usec) / 1e6);
}

/* What a client says first, as it leaves. */
static void
make_hello(void)
{
	SSL *ssl = SSL_new(ctx);
	BIO *in = BIO_new(BIO_s_mem()), *out = BIO_new(BIO_s_mem());

	if (!ssl || !in || !out)
		die("SSL");
	SSL_set_bio(ssl, in, out);
	(void)SSL_connect(ssl);
	ERR_clear_error();
	hello_len = BIO_read(out, hello, sizeof(hello));
	SSL_free(ssl);
}

static void
read_token(const char *path)
{
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	ssize_t n = fd < 0 ? -1 : read(fd, want.token, sizeof(want.token) - 1);

	if (n <= 0)
		die(path);
	close(fd);
	want.token[strcspn(want.token, "\r\n")] = '\0';
}

static void __attribute__((noreturn)) usage(void)
{
	fprintf(stderr,
	    "usage: siege_load [-s seconds] [-n newcomers a second] [-o half-open handshakes]\n"
	    "                  [-w wrong tokens a second] [-a attackers' addresses]\n"
	    "                  [-p seconds to wait for an answer] PORT TOKEN-FILE\n");
	exit(2);
}

static void
read_options(int argc, char **argv)
{
	int option;

	while ((option = getopt(argc, argv, "s:n:o:w:a:p:")) != -1) {
		unsigned int value = optarg ? (unsigned int)strtoul(optarg, NULL, 10) : 0;

		if (option == 's')
			want.seconds = value;
		else if (option == 'n')
			want.newcomers = value;
		else if (option == 'o')
			want.half = value;
		else if (option == 'w')
			want.wrong = value;
		else if (option == 'p')
			want.patience = value;
		else if (option == 'a' && value > 0 && value <= 50000)
			want.attackers = value;
		else
			usage();
	}
	if (argc - optind != 2)
		usage();
	want.port = (uint16_t)strtoul(argv[optind], NULL, 10);
	read_token(argv[optind + 1]);
}

int
main(int argc, char **argv)
{
	struct rlimit files;

	(void)signal(SIGPIPE, SIG_IGN);
	read_options(argc, argv);
	if (getrlimit(RLIMIT_NOFILE, &files) == 0) {
		files.rlim_cur = files.rlim_max;
		setrlimit(RLIMIT_NOFILE, &files);
	}
	ep = epoll_create1(EPOLL_CLOEXEC);
	ctx = SSL_CTX_new(TLS_client_method());
	if (ep < 0 || !ctx)
		die("start");
	make_hello();
	print(run());
	return 0;
}
