/* SPDX-License-Identifier: GPL-2.0-or-later */
/* Going on where memory is short because writes wait for this daemon. */
#ifndef DAEMON_STEADY_H
#define DAEMON_STEADY_H

/* Once, before anything is served.  What is not permitted is told and done without. */
void steady_begin(void);
/* In a child, before it becomes another program. */
void steady_end(void);

#endif /* DAEMON_STEADY_H */
