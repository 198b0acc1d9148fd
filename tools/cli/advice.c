// SPDX-License-Identifier: GPL-2.0-or-later
/* Would the replicas that are left serve the reads?  See advice.h. */
#include <math.h>

#include "advice.h"

/* The smallest n with rate <= (n - 1) * mean. */
static unsigned int enough(double rate, double mean)
{
	return 1 + (unsigned int)fmax(1, ceil(rate / mean));
}

bool advice_give(const struct advice_copy *copies, size_t count, struct advice *advice)
{
	size_t worst = 0;

	*advice = (struct advice){ 0 };
	for (size_t i = 0; i < count; i++) {
		advice->rate += copies[i].rate;
		advice->capacity += copies[i].capacity;
		if (copies[i].capacity > copies[worst].capacity)
			worst = i;
	}
	if (!advice->capacity)
		return false;
	/* Whichever is lost, the same reads have to be served: by the fewest if it is
	 * the largest.
	 */
	advice->worst = copies[worst].peer;
	advice->load = (double)advice->rate / advice->capacity;
	advice->after = advice->capacity == copies[worst].capacity ? INFINITY :
			(double)advice->rate / (advice->capacity - copies[worst].capacity);
	advice->survives = advice->after <= 1;
	advice->enough = enough(advice->rate, (double)advice->capacity / count);
	return true;
}
