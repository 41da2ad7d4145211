# SPDX-License-Identifier: GPL-2.0-or-later
"""A seeded run of clients and faults over hosts of the lab, and a checker that knows nothing of virtxd."""
