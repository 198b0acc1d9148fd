/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Telling systemd (Type=notify) how far we are: a datagram, no library. */
#ifndef BC_NOTIFY_H
#define BC_NOTIFY_H

/* "READY=1", "STOPPING=1" ...; nothing happens without $NOTIFY_SOCKET. */
void notify_systemd(const char *state);

#endif /* BC_NOTIFY_H */
