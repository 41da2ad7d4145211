/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "fake_sanlock.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <sanlock.h>
#include <sanlock_admin.h>
#include <sanlock_resource.h>
#include <sanlock_rv.h>

#include "proto/util.h"

#define MAGIC	 0x12212010u
#define FILE_MAX (1 << 20)

/* What stands at the front of a lease's file. */
struct leader {
	uint32_t magic;
	uint32_t unused;
	uint64_t version;
};

/* A connection of sanlock_register, and the one lease that is taken by it. */
static struct client {
	int sock, peer; /* both ends */
	char name[SANLK_NAME_LEN + 1];
} clients[16];
static size_t n_clients;
/* What the one process holds that others have made known. */
static struct sanlk_resource *of_process[8];
static size_t n_of_process;
static unsigned int n_refused; /* requests for it, from now on */
static int process;
static bool stopped, hangs;
static char occupied[SANLK_NAME_LEN + 1];
static enum fake_holder holder;
static uint64_t busy_id;
static struct sanlk_lockspace joined; /* none without a name */
static struct sanlk_host seen[8];
static int n_seen;

void
fake_sanlock_start(void)
{
	fake_sanlock_stop();
	n_clients = 0;
	stopped = hangs = false;
	occupied[0] = '\0';
	holder = FAKE_HOLDER_OBEYS;
	busy_id = 0;
	n_refused = 0;
	n_seen = 0;
}

void
fake_sanlock_stop(void)
{
	for (size_t i = 0; i < n_clients; i++) {
		util_close(&clients[i].peer);
		clients[i].name[0] = '\0';
	}
	fake_sanlock_know(0);
	joined.name[0] = '\0';
	stopped = true;
}

void
fake_sanlock_hang(bool it_hangs)
{
	hangs = it_hangs;
}

void
fake_sanlock_know(int pid)
{
	while (n_of_process > 0)
		free(of_process[--n_of_process]);
	process = pid;
}

void
fake_sanlock_serve(unsigned int n)
{
	n_refused = n;
}

static bool
serves_another(void)
{
	if (n_refused == 0)
		return false;
	n_refused--;
	return true;
}

void
fake_sanlock_use_id(unsigned int host_id)
{
	busy_id = host_id;
}

void
fake_sanlock_occupy(const char *name, bool taken)
{
	snprintf(occupied, sizeof(occupied), "%s", taken ? name : "");
}

void
fake_sanlock_hold(enum fake_holder how)
{
	holder = how;
}

unsigned int
fake_sanlock_held(void)
{
	unsigned int n = (unsigned int)n_of_process;

	for (size_t i = 0; i < n_clients; i++)
		n += clients[i].name[0] != '\0';
	return n;
}

static struct client *
find_client(int sock)
{
	for (size_t i = n_clients; i-- > 0;) {
		if (clients[i].sock == sock && clients[i].peer >= 0)
			return &clients[i];
	}
	return NULL;
}

static size_t
find_of_process(const char *name)
{
	size_t i = 0;

	while (i < n_of_process && strncmp(of_process[i]->name, name, SANLK_NAME_LEN) != 0)
		i++;
	return i;
}

static bool
is_held(const char *name)
{
	if (find_of_process(name) < n_of_process)
		return true;
	for (size_t i = 0; i < n_clients; i++) {
		if (strncmp(clients[i].name, name, SANLK_NAME_LEN) == 0)
			return true;
	}
	return false;
}

/* The daemon is this process, and needs no group to open what is made for it. */
int
getgrnam_r(const char *name, struct group *grp, char *buf, size_t buflen, struct group **result)
{
	*result = NULL;
	return 0;
}

int
sanlock_register(void)
{
	struct client *client = clients;
	int ends[2];

	if (stopped)
		return -ENOENT;
	while (client < clients + n_clients && client->peer >= 0)
		client++;
	if (client == clients + ARRAY_SIZE(clients) ||
	    socketpair(AF_UNIX, SOCK_STREAM, 0, ends) < 0)
		return -EMFILE;
	if (client == clients + n_clients)
		n_clients++;
	*client = (struct client){ .sock = ends[0], .peer = ends[1] };
	return client->sock;
}

static int
read_leader(const char *path, struct leader *ret)
{
	_close_ int fd = open(path, O_RDONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	if (pread(fd, ret, sizeof(*ret), 0) != sizeof(*ret) || ret->magic != MAGIC)
		return SANLK_LEADER_MAGIC;
	return 0;
}

static int
write_leader(const char *path, uint64_t version)
{
	const struct leader leader = { .magic = MAGIC, .version = version };
	_close_ int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0)
		return -errno;
	return pwrite(fd, &leader, sizeof(leader), 0) == sizeof(leader) ? 0 : -EIO;
}

/* What is asked for is free at once. */
int
sanlock_request(uint32_t flags, uint32_t force_mode, struct sanlk_resource *res)
{
	struct leader leader;

	if (stopped)
		return -ENOENT;
	if (read_leader(res->disks[0].path, &leader) < 0 || res->lver != leader.version + 1)
		return SANLK_REQUEST_LVER;
	if (holder == FAKE_HOLDER_OBEYS ||
	    (holder == FAKE_HOLDER_OBEYS_FORCE && force_mode == SANLK_REQ_FORCE))
		fake_sanlock_occupy("", false);
	return 0;
}

void
fake_sanlock_use(const char *path)
{
	struct leader leader;

	if (read_leader(path, &leader) == 0)
		write_leader(path, leader.version + 1);
}

/* Takes one lease, and tells in it at which version. */
static int
take(struct sanlk_resource *resource)
{
	const char *path = resource->disks[0].path;
	struct leader leader;
	int rv;

	if (is_held(resource->name))
		return -EEXIST;
	if (strncmp(resource->name, occupied, SANLK_NAME_LEN) == 0)
		return SANLK_ACQUIRE_IDLIVE;
	rv = read_leader(path, &leader);
	resource->lver = leader.version + 1;
	return rv == 0 ? write_leader(path, resource->lver) : rv;
}

/* For the process that libvirt has made known. */
static int
take_for(struct sanlk_resource *resource)
{
	size_t size = sizeof(*resource) + sizeof(struct sanlk_disk);
	int rv = n_of_process == ARRAY_SIZE(of_process) ? -E2BIG : take(resource);

	if (rv < 0)
		return rv;
	of_process[n_of_process] = malloc(size);
	memcpy(of_process[n_of_process++], resource, size);
	return 0;
}

int
sanlock_acquire(int sock, int pid, uint32_t flags, int res_count, struct sanlk_resource *res_args[],
    struct sanlk_options *opt_in)
{
	struct client *client = find_client(sock);
	int rv = 0;

	if (stopped || (sock >= 0 && !client))
		return -ECONNRESET;
	if (sock < 0 && (pid != process || pid == 0))
		return -ESRCH;
	if (sock < 0 && serves_another())
		return -EBUSY;
	for (int i = 0; i < res_count && rv == 0; i++)
		rv = sock < 0 ? take_for(res_args[i]) : take(res_args[i]);
	if (rv == 0 && client)
		memcpy(client->name, res_args[0]->name, SANLK_NAME_LEN);
	return rv;
}

static int
release_for(int pid, int n, struct sanlk_resource *resources[])
{
	if (stopped)
		return -ECONNRESET;
	if (pid != process)
		return -ESRCH;
	if (serves_another())
		return -EBUSY;
	for (int i = 0; i < n; i++) {
		size_t found = find_of_process(resources[i]->name);

		if (found == n_of_process)
			return -ENOENT;
		free(of_process[found]);
		of_process[found] = of_process[--n_of_process];
	}
	return 0;
}

int
sanlock_release(int sock, int pid, uint32_t flags, int res_count, struct sanlk_resource *res_args[])
{
	struct client *client = find_client(sock);

	if (sock < 0)
		return release_for(pid, res_count, res_args);
	if (!client)
		return -ECONNRESET;
	client->name[0] = '\0';
	util_close(&client->peer);
	return 0;
}

int
sanlock_get_lvb(uint32_t flags, struct sanlk_resource *res, char *lvb, int lvblen)
{
	_close_ int fd = open(res->disks[0].path, O_RDONLY | O_CLOEXEC);

	if (!is_held(res->name))
		return -ENOENT;
	return pread(fd, lvb, (size_t)lvblen, (off_t)2002 * 512) == lvblen ? 0 : -EIO;
}

int
sanlock_write_resource(
    struct sanlk_resource *res, int max_hosts, int num_hosts, uint32_t write_flags)
{
	const char *path = res->disks[0].path;

	if (stopped)
		return -ENOENT;
	return truncate(path, FILE_MAX) < 0 ? -errno : write_leader(path, 0);
}

int
sanlock_read_resource(struct sanlk_resource *res, uint32_t read_flags)
{
	struct leader leader = { 0 };
	int rv = stopped ? -ENOENT : read_leader(res->disks[0].path, &leader);

	res->lver = leader.version;
	return rv;
}

int
sanlock_read_resource_owners(
    struct sanlk_resource *res, uint32_t read_flags, struct sanlk_host **hss, int *hss_count)
{
	*hss = calloc(1, sizeof(**hss));
	(*hss)->host_id = 7;
	*hss_count = 1;
	return 0;
}

int
sanlock_inquire(int sock, int pid, uint32_t flags, int *res_count, char **res_state)
{
	if (stopped)
		return -ENOENT;
	if (hangs)
		return -ETIMEDOUT;
	if (pid != process || pid == 0)
		return -ESRCH;
	if (serves_another())
		return -EBUSY;
	*res_count = (int)n_of_process;
	*res_state = NULL;
	return n_of_process > 0 ? sanlock_args_to_state((int)n_of_process, of_process, res_state)
				: 0;
}

int
sanlock_get_lockspaces(struct sanlk_lockspace **lss, int *lss_count, uint32_t flags)
{
	if (stopped)
		return -ENOENT;
	*lss = malloc(sizeof(joined));
	**lss = joined;
	*lss_count = joined.name[0] != '\0';
	return 0;
}

int
sanlock_add_lockspace_timeout(struct sanlk_lockspace *ls, uint32_t flags, uint32_t io_timeout)
{
	if (stopped)
		return -ENOENT;
	if (ls->host_id == busy_id)
		return SANLK_HOSTID_BUSY;
	joined = *ls;
	return 0;
}

int
sanlock_rem_lockspace(struct sanlk_lockspace *ls, uint32_t flags)
{
	if (stopped)
		return -ENOENT;
	if (fake_sanlock_held() > 0)
		return -EBUSY;
	joined.name[0] = '\0';
	return 0;
}

void
fake_sanlock_see(unsigned int host_id, unsigned int generation, unsigned int flags)
{
	int i = 0;

	while (i < n_seen && seen[i].host_id != host_id)
		i++;
	if (i == n_seen)
		n_seen++;
	seen[i] = (struct sanlk_host){
		.host_id = host_id, .generation = generation, .io_timeout = 10, .flags = flags
	};
}

/* Each host_id is renewed in time; all are those that are seen. */
int
sanlock_get_hosts(
    const char *ls_name, uint64_t host_id, struct sanlk_host **hss, int *hss_count, uint32_t flags)
{
	if (stopped)
		return -ENOENT;
	if (host_id == 0) {
		*hss = calloc((size_t)n_seen + 1, sizeof(**hss));
		memcpy(*hss, seen, sizeof(seen[0]) * (size_t)n_seen);
		*hss_count = n_seen;
		return 0;
	}
	*hss = calloc(1, sizeof(**hss));
	(*hss)->host_id = host_id;
	(*hss)->flags = SANLK_HOST_LIVE;
	*hss_count = 1;
	return 0;
}

int
sanlock_write_lockspace(
    struct sanlk_lockspace *ls, int max_hosts, uint32_t flags, uint32_t io_timeout)
{
	if (stopped)
		return -ENOENT;
	return truncate(ls->host_id_disk.path, FILE_MAX) < 0 ? -errno : 0;
}
