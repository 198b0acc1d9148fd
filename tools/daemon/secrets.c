// SPDX-License-Identifier: GPL-2.0-or-later
#include <errno.h>
#include <string.h>

#include "secrets.h"

int secrets_load(struct secrets *secrets, const struct bc_daemon_config *config,
		 struct bc_error *error)
{
	int ret;

	memset(secrets, 0, sizeof(*secrets));
	ret = keyring_load(&secrets->ring, config->key, error);
	/* With certificates it is for what else shall be taken. */
	if (ret == -ENOENT && config->certificate[0] && !config->accept_key && !config->plain)
		ret = 0;
	if (!ret && config->certificate[0])
		ret = certs_load(&secrets->certs, config, error);
	secrets->takes_key = !secrets->certs || config->accept_key;
	if (ret)
		secrets_release(secrets);
	return ret;
}

void secrets_release(struct secrets *secrets)
{
	certs_put(secrets->certs);
	explicit_bzero(secrets, sizeof(*secrets));
}
