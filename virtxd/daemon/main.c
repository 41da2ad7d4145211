/* SPDX-License-Identifier: GPL-2.0-or-later */
/* virtxd's command line: it serves, runs one job, or does what systemd asks for. */
#include <getopt.h>
#include <stdio.h>
#include <string.h>
#include <sys/resource.h>

#include "daemon/daemon.h"
#include "proto/coredump.h"
#include "proto/log.h"
#include "work/host_down.h"
#include "work/work.h"

#define LEASES_S 60 /* for the leases of what still ends on a host that goes down */

static void
usage(FILE *out)
{
	fputs("usage: virtxd [-d] [-c FILE]\n"
	      "       virtxd --check-config [-c FILE]\n"
	      "       virtxd --lockspace leave|allow [-c FILE]\n"
	      "       virtxd --guests down|up [-c FILE]\n"
	      "       virtxd [--resident] --job NAME|list\n"
	      "\n"
	      "  -c, --config FILE   read FILE instead of " CONFIG_FILE "\n"
	      "      --check-config  read the configuration, say what is wrong, and exit\n"
	      "  -d, --debug         log at level debug\n"
	      "      --lockspace leave\n"
	      "                      leave sanlock's lockspace, as this host goes down\n"
	      "      --lockspace allow\n"
	      "                      virtxd may join it again\n"
	      "      --guests down   VMs that go off do so with this host, and not by themselves\n"
	      "      --guests up     they go off by themselves again\n"
	      "      --job NAME      run one job: its request as JSON on stdin\n"
	      "      --resident      take more requests of that job, each a line of stdin\n"
	      "      --job list      list the jobs with their requests\n"
	      "  -h, --help          print this\n"
	      "  -V, --version       print the version\n",
	    out);
}

static void
raise_file_limit(void)
{
	struct rlimit limit;

	if (getrlimit(RLIMIT_NOFILE, &limit) < 0 || limit.rlim_cur == limit.rlim_max)
		return;
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
}

/* What systemd has done as the host goes down, and when it is up. */
static int
lockspace_leave_in_time(const struct config *config, struct error *err)
{
	return host_down_leave(config->storage_root, config->run_dir, LEASES_S, err);
}

static int
lockspace_allow(const struct config *config, struct error *err)
{
	return host_down_allow(config->run_dir, err);
}

static int
guests_down(const struct config *config, struct error *err)
{
	return host_down_begin_guests(config->run_dir, err);
}

static int
guests_up(const struct config *config, struct error *err)
{
	return host_down_end_guests(config->run_dir, err);
}

struct deed {
	const char *option, *word;
	int (*run)(const struct config *config, struct error *err);
};

static const struct deed deeds[] = {
	{ "lockspace", "leave", lockspace_leave_in_time },
	{ "lockspace", "allow", lockspace_allow },
	{ "guests", "down", guests_down },
	{ "guests", "up", guests_up },
};

static const struct deed *
find_deed(const char *option, const char *word)
{
	for (size_t i = 0; i < ARRAY_SIZE(deeds); i++) {
		if (strcmp(deeds[i].option, option) == 0 && strcmp(deeds[i].word, word) == 0)
			return &deeds[i];
	}
	return NULL;
}

static int
run_deed(const struct deed *deed, const struct config *config)
{
	struct error err = { 0 };

	log_init((enum log_level)config->log_level, NULL);
	if (deed->run(config, &err) == 0)
		return 0;
	fprintf(stderr, "virtxd: %s\n", err.detail);
	return 1;
}

struct given {
	struct daemon_options daemon;
	bool check_config, resident;
	const char *option, *word; /* of a deed, NULL where none was asked for */
};

/* -1 to go on, else what to exit with: a job, and what only tells, is done then. */
static int
read_options(int argc, char **argv, struct given *given)
{
	enum { OPT_CHECK_CONFIG = 256, OPT_GUESTS, OPT_JOB, OPT_LOCKSPACE, OPT_RESIDENT };
	static const struct option options[] = {
		{ "config", required_argument, NULL, 'c' },
		{ "check-config", no_argument, NULL, OPT_CHECK_CONFIG },
		{ "debug", no_argument, NULL, 'd' },
		{ "guests", required_argument, NULL, OPT_GUESTS },
		{ "job", required_argument, NULL, OPT_JOB },
		{ "resident", no_argument, NULL, OPT_RESIDENT },
		{ "lockspace", required_argument, NULL, OPT_LOCKSPACE },
		{ "help", no_argument, NULL, 'h' },
		{ "version", no_argument, NULL, 'V' },
		{ 0 },
	};
	int opt;

	while ((opt = getopt_long(argc, argv, "c:dhV", options, NULL)) != -1) {
		switch (opt) {
		case 'c':
			given->daemon.config_file = optarg;
			given->daemon.config_given = true;
			break;
		case 'd':
			given->daemon.debug = true;
			break;
		case OPT_CHECK_CONFIG:
			given->check_config = true;
			break;
		case OPT_JOB:
			if (strcmp(optarg, "list") != 0)
				return work_main(optarg, given->resident);
			work_print_list();
			return 0;
		case OPT_RESIDENT:
			given->resident = true;
			break;
		case OPT_GUESTS:
		case OPT_LOCKSPACE:
			given->option = opt == OPT_GUESTS ? "guests" : "lockspace";
			given->word = optarg;
			break;
		case 'h':
			usage(stdout);
			return 0;
		case 'V':
			puts("virtxd " VIRTX_VERSION);
			return 0;
		default:
			usage(stderr);
			return 2;
		}
	}
	return -1;
}

int
main(int argc, char **argv)
{
	struct given given = { .daemon = { .config_file = CONFIG_FILE } };
	const struct deed *deed;
	struct config config;
	struct error err = { 0 };
	int rc;

	coredump_forbid();
	rc = read_options(argc, argv, &given);
	if (rc >= 0)
		return rc;
	deed = given.option ? find_deed(given.option, given.word) : NULL;
	if (optind < argc || (given.option && !deed)) {
		usage(stderr);
		return 2;
	}
	config_init(&config);
	if (config_load(&config, given.daemon.config_file, given.daemon.config_given, &err) < 0) {
		fprintf(stderr, "virtxd: %s\n", err.detail);
		config_clear(&config);
		return 1;
	}
	if (given.check_config || deed) {
		rc = deed ? run_deed(deed, &config) : 0;
		config_clear(&config);
		return rc;
	}
	log_init(given.daemon.debug ? LOG_LEVEL_DEBUG : (enum log_level)config.log_level, NULL);
	raise_file_limit();
	return daemon_run(&given.daemon, &config) < 0;
}
