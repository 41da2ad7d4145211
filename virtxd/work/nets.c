/* SPDX-License-Identifier: GPL-2.0-or-later */
#include "work/nets.h"

#include <libvirt/virterror.h>

#include "work/cpu_model.h"
#include "work/hypervisor.h"
#include "work/works.h"

/* Whether the host has a network interface of that name; true where its libvirt cannot tell. The
 * node devices of libvirt have no bridges among them. */
static bool
has_bridge(virConnectPtr conn, const char *name)
{
	virInterfacePtr interface = virInterfaceLookupByName(conn, name);

	if (!interface)
		return virGetLastErrorCode() != VIR_ERR_NO_INTERFACE;
	virInterfaceFree(interface);
	return true;
}

static int
check_network(virConnectPtr conn, const char *host, const char *name, struct error *err)
{
	virNetworkPtr network = virNetworkLookupByName(conn, name);
	bool active = network && virNetworkIsActive(network) == 1;

	if (!network && virGetLastErrorCode() != VIR_ERR_NO_NETWORK)
		return hypervisor_error(
		    err, 424, "cannot look up network '%s' of host '%s'", name, host);
	if (!network)
		return error_set_type(
		    err, ERROR_NO_NETWORK, "host '%s' has no network '%s'", host, name);
	virNetworkFree(network);
	if (!active)
		return error_set_type(
		    err, ERROR_NO_NETWORK, "network '%s' of host '%s' is not active", name, host);
	return 0;
}

static bool
has_net(const struct vmdef *def, const struct net *net)
{
	for (size_t i = 0; def && i < def->n_nets; i++) {
		if (def->nets[i].nettype == net->nettype && str_equal(def->nets[i].name, net->name))
			return true;
	}
	return false;
}

int
nets_check(virConnectPtr conn, const char *host, const struct vmdef *def, const struct vmdef *old,
    struct error *err)
{
	for (size_t i = 0; i < def->n_nets; i++) {
		const struct net *net = &def->nets[i];

		if (has_net(old, net))
			continue;
		if (net->nettype == NET_TYPE_NETWORK) {
			if (check_network(conn, host, net->name, err) < 0)
				return -1;
		} else if (!has_bridge(conn, net->name)) {
			return error_set_type(
			    err, ERROR_NO_NETWORK, "host '%s' has no bridge '%s'", host, net->name);
		}
	}
	return 0;
}

int
work_vm_check(const void *request, void *result, struct error *err)
{
	const struct vm_check_request *req = request;
	_connect_ virConnectPtr conn = NULL;

	if (hypervisor_open(req->env.uri, &conn, err) < 0)
		return -1;
	if (cpu_model_check(conn, req->env.host, &req->def, NULL, err) < 0)
		return error_wrap(err, "vmdef.cpudef.model");
	return nets_check(conn, req->env.host, &req->def, NULL, err);
}
