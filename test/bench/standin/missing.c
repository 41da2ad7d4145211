/* SPDX-License-Identifier: GPL-2.0-or-later */
/* What virtxd links, and no simulated host calls. */
#include <stdio.h>
#include <stdlib.h>

#define MISSING(name)                                                           \
	__attribute__((visibility("default"), noreturn)) void name(void);       \
	void name(void)                                                         \
	{                                                                       \
		fprintf(stderr, "the stand-in for libvirt has no %s\n", #name); \
		abort();                                                        \
	}

MISSING(virConnectCompareCPU)
MISSING(virConnectCompareHypervisorCPU)
MISSING(virConnectGetCPUModelNames)
MISSING(virDomainAbortJob)
MISSING(virDomainAttachDeviceFlags)
MISSING(virDomainCreate)
MISSING(virDomainDefineXMLFlags)
MISSING(virDomainDestroy)
MISSING(virDomainDestroyFlags)
MISSING(virDomainDetachDeviceFlags)
MISSING(virDomainGetConnect)
MISSING(virDomainGetJobInfo)
MISSING(virDomainGetJobStats)
MISSING(virDomainGetVcpusFlags)
MISSING(virDomainHasManagedSaveImage)
MISSING(virDomainManagedSaveGetXMLDesc)
MISSING(virDomainMigrateSetMaxDowntime)
MISSING(virDomainMigrateStartPostCopy)
MISSING(virDomainMigrateToURI3)
MISSING(virDomainResume)
MISSING(virDomainSetMetadata)
MISSING(virDomainShutdownFlags)
MISSING(virDomainSuspend)
MISSING(virDomainUndefineFlags)
MISSING(virInterfaceFree)
MISSING(virInterfaceLookupByName)
MISSING(virNetworkFree)
MISSING(virNetworkIsActive)
MISSING(virNetworkLookupByName)
MISSING(virNodeGetFreePages)
MISSING(virTypedParamsAddInt)
MISSING(virTypedParamsAddString)
MISSING(virTypedParamsAddULLong)
MISSING(virTypedParamsFree)
