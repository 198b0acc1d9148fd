// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * fuzz_meta VOLUME DEVICE SEED SECONDS: metadata that are not as they were written.
 *
 * The volume is down, all of it is on DEVICE.  Again and again fields of a superblock, or of
 * a block of the map, are made wrong, with checksums that are right, or not; then the volume
 * comes up, or is refused.  If it comes up it is read whole, and now and then it becomes
 * primary and is written to.  Where the change has left the volume as it was, or is seen for
 * damage, the content has to be right; and whatever it is taken for, it is the same when it
 * comes up once more.  At the end all is as before.
 */
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <time.h>
#include <unistd.h>

#include "crc32c.h"
#include "kernel.h"
#include "lot.h"
#include "util.h"

#define DEVICE_MAX	(64U << 20)

struct bench {
	struct bc_kernel *kernel;
	struct bc_error error;
	const char *name;
	int device;
	uint32_t number;
	size_t bytes, size;		/* of the device, of the volume */
	unsigned char *image, *changed;	/* the device as it was, and with lies */
	unsigned char *content, *now;	/* the volume */
	int same;			/* the content has to be what it was */
	size_t seen;			/* bytes of @last */
	unsigned char *last;		/* what it held when it went down */
	unsigned int tries, ups, reigns;
};

static uint64_t boundary(uint64_t now)
{
	switch (lot(12)) {
	case 0: return now * 2;
	case 1: return now / 2;
	case 2: return now + 4096 * (lot(17) - 8);
	case 3: return (1ULL << lot(64)) & -4096ULL;
	default: return lot_bound(now);
	}
}

static struct blkcast_super *super_of(struct bench *b, int copy)
{
	return (void *)(b->changed + b->bytes - (copy ? BLKCAST_BLOCK_SIZE : BLKCAST_SUPER_AREA));
}

static void seal(void *block, size_t crc_offset)
{
	__le32 *crc = (__le32 *)((unsigned char *)block + crc_offset);

	*crc = 0;
	*crc = htole32(bc_crc32c(block, BLKCAST_BLOCK_SIZE));
}

/* ---- what is made wrong ---- */

/* A little-endian field of @size bytes. */
static void field_change(void *field, size_t size)
{
	uint64_t value = 0;

	memcpy(&value, field, size);
	value = htole64(boundary(le64toh(value)));
	memcpy(field, &value, size);
}

static void bit_change(struct bench *b, char *at, size_t bytes)
{
	at[lot(bytes)] ^= 1 << lot(8);
	b->same = 0;
}

/* They count writes: one right below the bound would be over it the next time. */
static void generation_change(__le64 *field)
{
	uint64_t value = boundary(le64toh(*field));

	if (value < BLKCAST_GENERATION_END && value >= BLKCAST_GENERATION_END - 1000)
		value = BLKCAST_GENERATION_END;
	*field = htole64(value);
}

#define FIELD(type, name) { offsetof(struct type, name), sizeof(((struct type *)0)->name) }

/* The first PLACES say where the volume is. */
static const struct { size_t at, size; } super_fields[] = {
	FIELD(blkcast_super, sectors), FIELD(blkcast_super, data_start),
	FIELD(blkcast_super, map_offset), FIELD(blkcast_super, regions),
	FIELD(blkcast_super, map_blocks), FIELD(blkcast_super, region_shift),
	FIELD(blkcast_super, version), FIELD(blkcast_super, flags),
	FIELD(blkcast_super, term), FIELD(blkcast_super, reigns),
	FIELD(blkcast_super, position), FIELD(blkcast_super, members),
	FIELD(blkcast_super, reserved0),
};
#define PLACES 6

/* About where the device, or what is there of use, ends: in bytes. */
static uint64_t edge(const struct bench *b)
{
	uint64_t end = lot(2) ? b->bytes : b->bytes - BLKCAST_SUPER_AREA;

	return end + BLKCAST_BLOCK_SIZE * (lot(7) - 3);
}

static void super_lie(struct bench *b)
{
	struct blkcast_super *s = super_of(b, 0);
	size_t n = lot(lot(2) ? PLACES : sizeof(super_fields) / sizeof(super_fields[0]) + 3);

	if (n < PLACES)
		b->same = 0;
	if (!lot(16))
		generation_change(&s->generation);
	if (n < sizeof(super_fields) / sizeof(super_fields[0]))
		field_change((char *)s + super_fields[n].at, super_fields[n].size);
	if (n == 0 && lot(2))
		s->sectors = htole64(edge(b) / 512);
	else if (n == 1 && lot(2))
		s->data_start = htole64(edge(b) / 512);
	else if (n == 2 && lot(2))
		s->map_offset = htole64(edge(b));
	if (n >= sizeof(super_fields) / sizeof(super_fields[0]))
		bit_change(b, (char *)s + offsetof(struct blkcast_super, volume),
			   sizeof(*s) - offsetof(struct blkcast_super, volume));
	/* As many regions as it has sectors, then: the next check is reached. */
	if (n < PLACES && lot(2)) {
		uint64_t region = 1ULL << ((le32toh(s->region_shift) - 9) & 63);
		uint64_t regions = (le64toh(s->sectors) + region - 1) / region;

		s->regions = htole32(regions);
		s->map_blocks = htole32((regions + BLKCAST_MAP_STAMPS - 1) / BLKCAST_MAP_STAMPS);
	}
}

static void super_history_lie(struct bench *b)
{
	struct blkcast_super *s = super_of(b, 0);

	s->reigns = htole32(lot(3) ? lot(BLKCAST_HISTORY_MAX + 1) : lot(0));
	s->term = htole32(lot(2) ? le32toh(s->term) : lot(BLKCAST_TERM_MAX + 2ULL));
	for (unsigned int i = 0; i < BLKCAST_HISTORY_MAX; i++) {
		s->history[i].term = htole32(lot(2) ? i : boundary(i));
		s->history[i].reign = htole64(boundary(i));
		s->history[i].inherited = htole64(boundary(0));
	}
}

/* Both copies with the right checksum; or one of them spoiled, which is no harm. */
static void supers_change(struct bench *b)
{
	struct blkcast_super *s = super_of(b, 0);

	if (!lot(4)) {
		((char *)super_of(b, lot(2)))[lot(BLKCAST_BLOCK_SIZE)] ^= 1 << lot(8);
		return;
	}
	for (int i = lot(3); i >= 0; i--)
		super_lie(b);
	if (!lot(4))
		super_history_lie(b);
	seal(s, offsetof(struct blkcast_super, crc));
	memcpy(super_of(b, 1), s, sizeof(*s));
	/* Or only one, which is then older, or newer, or the same. */
	if (!lot(8)) {
		memcpy(super_of(b, 1), b->image + b->bytes - BLKCAST_BLOCK_SIZE, sizeof(*s));
		b->same = 0;
	}
}

static void map_seal(struct blkcast_map_block *block)
{
	const size_t head = offsetof(struct blkcast_map_block, generation);

	block->head_crc = 0;
	block->head_crc = htole32(bc_crc32c((char *)block + head, BLKCAST_MAP_HEAD - head));
	seal(block, offsetof(struct blkcast_map_block, crc));
}

/* With checksums that are right, or not. */
static void map_change(struct bench *b)
{
	const struct blkcast_super *s = super_of(b, 0);
	uint64_t map = le64toh(s->map_offset);
	uint32_t slots = 2 * le32toh(s->map_blocks);
	struct blkcast_map_block *block =
		(void *)(b->changed + map + lot(slots) * BLKCAST_BLOCK_SIZE);
	int right = lot(2);

	for (int i = lot(6); i >= 0; i--)
		switch (lot(7)) {
		case 0: generation_change(&block->generation); break;
		case 1: field_change(&block->index, 4); break;
		case 2: field_change(&block->flags, 4); break;
		case 3: field_change(&block->stamps[lot(BLKCAST_MAP_STAMPS)], 8); break;
		case 4: block->touched[lot(BLKCAST_MAP_BITS_BYTES)] ^= 1 << lot(8); break;
		case 5: field_change(&block->head_crc, 4); break;
		default: ((char *)block)[lot(BLKCAST_BLOCK_SIZE)] ^= 1 << lot(8); break;
		}
	if (right) {
		map_seal(block);
		b->same = 0;
	}
}

static void change(struct bench *b)
{
	memcpy(b->changed, b->image, b->bytes);
	b->same = 1;
	switch (lot(3)) {
	case 0:
		supers_change(b);
		break;
	case 1:
		map_change(b);
		break;
	default:
		map_change(b);
		supers_change(b);
		break;
	}
}

/* ---- the volume ---- */

static int put(struct bench *b, const unsigned char *image)
{
	return bc_pwrite_full(b->device, image, b->bytes, 0) || fsync(b->device);
}

static int device_open(struct bench *b, const struct bc_volume *v, int flags)
{
	char path[64];

	(void)b;
	snprintf(path, sizeof(path), "/dev/blkcast%u", v->minor);
	return open(path, O_DIRECT | flags);
}

/* Read all there is: what it holds has to be right, or only no harm to anybody. */
static const char *look(struct bench *b, const struct bc_volume *v)
{
	int fd = device_open(b, v, O_RDONLY);
	size_t bytes = v->sectors * 512;
	const char *wrong = NULL;

	if (fd < 0)
		return "its device cannot be opened";
	if (bytes > b->bytes)
		wrong = "it is larger than its device";
	else if (bc_pread_full(fd, b->now, bytes, 0))
		wrong = "it cannot be read";
	else if (b->seen && (bytes != b->seen || memcmp(b->now, b->last, bytes)))
		wrong = "it is another one the next time";
	else if (b->same && !b->seen && (bytes != b->size || memcmp(b->now, b->content, bytes)))
		wrong = "it holds something else";
	close(fd);
	if (!wrong && !b->seen)
		memcpy(b->last, b->now, bytes);
	return wrong;
}

static const char *reign(struct bench *b, const struct bc_volume *v)
{
	uint32_t term = v->term + 1;
	uint64_t at = lot(v->sectors / 8 + 1) * 4096;
	const char *wrong = NULL;
	int fd;

	if (bc_kernel_primary(b->kernel, b->name, term, 1 + lot(1 << 30), 0, BLKCAST_F_FORCE,
			      &b->error))
		return NULL;
	b->reigns++;
	fd = device_open(b, v, O_RDWR);
	if (fd < 0)
		return "a primary's device cannot be opened";
	if (at + 4096 <= v->sectors * 512 &&
	    (pwrite(fd, b->content, 4096, at) != 4096 || fdatasync(fd) ||
	     pread(fd, b->now, 4096, at) != 4096 || memcmp(b->now, b->content, 4096)))
		wrong = "it cannot be written to";
	if (at + 4096 <= v->sectors * 512)
		memcpy(b->last + at, b->content, 4096);
	close(fd);
	return wrong;
}

static int down(struct bench *b)
{
	int ret, tries = 600;

	/* udev may have a look at it. */
	while ((ret = bc_kernel_down(b->kernel, b->name, &b->error)) == -EBUSY && --tries)
		usleep(100000);
	return ret;
}

static const char *once(struct bench *b, const struct bc_up *up)
{
	const char *wrong = NULL;
	struct bc_volume v;
	uint32_t minor;

	if (bc_kernel_up(b->kernel, up, &minor, &b->error))
		return b->seen ? "it does not come up the next time" : NULL;
	b->ups += !b->seen;
	if (bc_kernel_get(b->kernel, b->name, &v, &b->error))
		return b->error.text;
	wrong = look(b, &v);
	if (!wrong && !b->seen && !lot(2))
		wrong = reign(b, &v);
	b->seen = v.sectors * 512;
	bc_volume_release(&v);
	return down(b) && !wrong ? b->error.text : wrong;
}

static const char *try(struct bench *b)
{
	struct bc_up up = {
		.name = b->name, .backing = b->number, .meta = b->number,
		.meta_end = lot(4) ? 0 : lot(2) ? b->bytes : lot(0),
	};
	const char *wrong;

	b->tries++;
	b->seen = 0;
	wrong = once(b, &up);
	return !wrong && b->seen ? once(b, &up) : wrong;
}

/* ---- generations that cannot be ---- */

/* The older slot of the first block: it would be the newest for ever. */
static const char *map_beyond(struct bench *b)
{
	const struct blkcast_super *s = super_of(b, 0);
	struct blkcast_map_block *slots;
	int newer;

	memcpy(b->changed, b->image, b->bytes);
	slots = (void *)(b->changed + le64toh(s->map_offset));
	newer = le64toh(slots[1].generation) > le64toh(slots[0].generation);
	slots[!newer] = slots[newer];
	slots[!newer].generation = htole64(BLKCAST_GENERATION_END);
	memset(slots[!newer].touched, 0, sizeof(slots[!newer].touched));
	map_seal(&slots[!newer]);
	b->same = 1;
	return put(b, b->changed) ? "cannot write" : try(b);
}

static const char *super_beyond(struct bench *b)
{
	const struct bc_up up = { .name = b->name, .backing = b->number, .meta = b->number };
	struct blkcast_super *s = super_of(b, 0);
	uint32_t minor;

	memcpy(b->changed, b->image, b->bytes);
	s->generation = htole64(BLKCAST_GENERATION_END);
	seal(s, offsetof(struct blkcast_super, crc));
	memcpy(super_of(b, 1), s, sizeof(*s));
	if (put(b, b->changed))
		return "cannot write";
	if (!bc_kernel_up(b->kernel, &up, &minor, &b->error))
		return "a superblock of a generation that cannot be is taken";
	return strstr(b->error.text, "generation out of range") ? NULL : b->error.text;
}

/* ---- all of it ---- */

static const char *begin(struct bench *b, char **argv)
{
	struct stat stat;
	struct bc_up up;
	struct bc_volume v;
	uint32_t minor;
	int fd;

	b->name = argv[0];
	b->device = open(argv[1], O_RDWR | O_DIRECT);
	if (b->device < 0 || fstat(b->device, &stat))
		return "no such device";
	b->number = BLKCAST_DEV(major(stat.st_rdev), minor(stat.st_rdev));
	b->bytes = lseek(b->device, 0, SEEK_END);
	if (b->bytes > DEVICE_MAX || posix_memalign((void **)&b->image, 4096, b->bytes) ||
	    posix_memalign((void **)&b->changed, 4096, b->bytes) ||
	    posix_memalign((void **)&b->content, 4096, b->bytes) ||
	    posix_memalign((void **)&b->now, 4096, b->bytes) ||
	    posix_memalign((void **)&b->last, 4096, b->bytes))
		return "no memory";
	up = (struct bc_up){ .name = b->name, .backing = b->number, .meta = b->number };
	if (bc_kernel_open(&b->kernel, &b->error) ||
	    bc_kernel_up(b->kernel, &up, &minor, &b->error) ||
	    bc_kernel_get(b->kernel, b->name, &v, &b->error))
		return b->error.text;
	b->size = v.sectors * 512;
	fd = device_open(b, &v, O_RDONLY);
	if (fd < 0 || bc_pread_full(fd, b->content, b->size, 0))
		return "cannot read";
	close(fd);
	if (down(b) || bc_pread_full(b->device, b->image, b->bytes, 0))
		return "cannot go down";
	return NULL;
}

int main(int argc, char **argv)
{
	struct bench *b = calloc(1, sizeof(*b));
	const char *wrong;
	uint64_t until;

	if (argc != 5)
		return 2;
	srandom(strtoul(argv[3], NULL, 0));
	wrong = begin(b, argv + 1);
	if (!wrong)
		wrong = super_beyond(b);
	if (!wrong)
		wrong = map_beyond(b);
	until = bc_now_ns() + strtoul(argv[4], NULL, 0) * 1000000000ULL;
	while (!wrong && bc_now_ns() < until) {
		change(b);
		wrong = put(b, b->changed) ? "cannot write" : try(b);
	}
	/* It may become primary once more, and be written to. */
	if (!wrong && (put(b, b->image) || (b->same = 1, try(b) != NULL) || put(b, b->image)))
		wrong = "it is not what it was";
	/* Both kinds are wanted, or it tests nothing. */
	if (!wrong && (!b->ups || !b->reigns || b->ups == b->tries))
		wrong = "all were taken, or none";
	printf("# seed %s: %u tries, %u up, %u reigns\n", argv[3], b->tries, b->ups, b->reigns);
	if (wrong)
		printf("try %u: %s\n", b->tries, wrong);
	return !!wrong;
}
