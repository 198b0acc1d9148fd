// SPDX-License-Identifier: GPL-2.0-or-later
/*
 * A disk with a volatile write cache, as an nbdkit plugin: what was not flushed
 * when the power goes may be lost, in part and torn.
 *
 *	write ----------> cache (memory) --flush--> file
 *	write with FUA ---------------------------> file
 *	read <- cache over file
 *	power cut: each unit of the cache reaches the file or is lost, by lot
 *
 * The power goes when nbdkit ends (SIGTERM), so the harness kills QEMU, which
 * then cannot flush any more, and after it nbdkit.  A guest that flushed and
 * powered off leaves an empty cache, and nothing is lost.  SIGKILL loses the
 * whole cache, which a real disk may do as well.
 *
 * What a real disk may do and this one does:
 *  1. Nothing flushed is ever lost; FUA writes count as flushed.
 *  2. Any subset of the unflushed writes survives, whatever their order.
 *  3. A write is torn at sectors (grain=512) or pages (grain=4096).
 *  4. An unflushed sector that is overwritten may have reached the file first,
 *     so that after the cut an older unflushed version can be there.
 * All lots are drawn from one generator: the same seed and the same requests
 * lose the same sectors.
 *
 * Parameters: file=PATH (its size is the disk's), seed=N, grain=512|4096,
 * keep=PERCENT of the unflushed units that survive (50), flush=MS that a flush
 * takes before anything is safe (0), fail=PATH: while there is such a file, what is
 * written or flushed fails.
 *
 * The cache is an array of pages indexed by page number.  A page that was
 * trimmed or zeroed as a whole is the shared page `zero_page`, so that discarding
 * a whole disk (mkfs does) costs no memory.
 */
#define NBDKIT_API_VERSION 2
#define THREAD_MODEL NBDKIT_THREAD_MODEL_PARALLEL

#include <errno.h>
#include <fcntl.h>
#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <nbdkit-plugin.h>

#define SECTOR		512
#define PAGE		4096
#define PAGE_SECTORS	(PAGE / SECTOR)
#define ALL_DIRTY	0xff
#define FLUSH_MS_MAX	10000

struct page {
	uint8_t dirty;		/* one bit a sector: differs from the file */
	uint8_t data[PAGE];
};

static struct page zero_page = { .dirty = ALL_DIRTY };

/* One request at a time, but for the time that a flush takes. */
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;

static struct {
	const char *path;
	const char *fail;
	int fd;
	uint64_t size;
	uint64_t seed;
	int64_t grain;
	int64_t keep;
	int64_t flush_ms;
	uint64_t random;
	struct page **pages;
	uint64_t low, high;	/* cached pages are in [low, high) */
} disk = { .fd = -1, .grain = SECTOR, .keep = 50 };

/* splitmix64 */
static uint64_t random_next(void)
{
	uint64_t z = (disk.random += 0x9e3779b97f4a7c15);

	z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9;
	z = (z ^ (z >> 27)) * 0x94d049bb133111eb;
	return z ^ (z >> 31);
}

static bool lot_keeps(void)
{
	return (int64_t)(random_next() % 100) < disk.keep;
}

/* ---- the file: what is safe ---- */

static int file_write(const void *data, size_t len, uint64_t offset)
{
	const char *p = data;

	while (len) {
		ssize_t n = pwrite(disk.fd, p, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			nbdkit_error("%s: write: %m", disk.path);
			return -1;
		}
		p += n;
		len -= n;
		offset += n;
	}
	return 0;
}

static int file_read(void *data, size_t len, uint64_t offset)
{
	char *p = data;

	while (len) {
		ssize_t n = pread(disk.fd, p, len, offset);

		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0) {
			nbdkit_error("%s: read: %m", disk.path);
			return -1;
		}
		p += n;
		len -= n;
		offset += n;
	}
	return 0;
}

static int file_punch(uint64_t offset, uint64_t len)
{
	if (fallocate(disk.fd, FALLOC_FL_PUNCH_HOLE | FALLOC_FL_KEEP_SIZE,
		      offset, len)) {
		nbdkit_error("%s: punch hole: %m", disk.path);
		return -1;
	}
	return 0;
}

/* ---- the cache: what is not ---- */

static void page_drop(uint64_t index)
{
	if (disk.pages[index] != &zero_page)
		free(disk.pages[index]);
	disk.pages[index] = NULL;
}

static void page_set(uint64_t index, struct page *page)
{
	disk.pages[index] = page;
	if (disk.low == disk.high)
		disk.low = disk.high = index;
	if (index < disk.low)
		disk.low = index;
	if (index >= disk.high)
		disk.high = index + 1;
}

/* The page at @index, ready to be written to; NULL when memory is short. */
static struct page *page_get(uint64_t index)
{
	struct page *old = disk.pages[index];
	struct page *page;

	if (old && old != &zero_page)
		return old;
	page = calloc(1, sizeof(*page));
	if (!page) {
		nbdkit_error("no memory for the cache");
		return NULL;
	}
	page->dirty = old ? ALL_DIRTY : 0;
	page_set(index, page);
	return page;
}

/* Writes those sectors of a page to the file that are set in @sectors. */
static int page_write(uint64_t index, uint8_t sectors)
{
	struct page *page = disk.pages[index];

	if (page == &zero_page && sectors == ALL_DIRTY)
		return file_punch(index * PAGE, PAGE);
	if (sectors == ALL_DIRTY)
		return file_write(page->data, PAGE, index * PAGE);
	for (int s = 0; s < PAGE_SECTORS; s++)
		if (sectors & 1 << s &&
		    file_write(page->data + s * SECTOR, SECTOR,
			       index * PAGE + s * SECTOR))
			return -1;
	return 0;
}

/* An unflushed sector is about to be overwritten: it may be safe by chance. */
static int sector_overwritten(uint64_t index, int s)
{
	struct page *page = disk.pages[index];

	if (!page || !(page->dirty & 1 << s) || !lot_keeps())
		return 0;
	return page_write(index, 1 << s);
}

/* @data NULL: zeroes. */
static int sector_write(uint64_t sector, const void *data, bool fua)
{
	static const uint8_t zeroes[SECTOR];
	uint64_t index = sector / PAGE_SECTORS;
	int s = sector % PAGE_SECTORS;
	struct page *page;

	if (!data)
		data = zeroes;
	if (fua && file_write(data, SECTOR, sector * SECTOR))
		return -1;
	if (fua && !disk.pages[index])
		return 0;
	if (!fua && sector_overwritten(index, s))
		return -1;
	page = page_get(index);
	if (!page)
		return -1;
	memcpy(page->data + s * SECTOR, data, SECTOR);
	if (fua)
		page->dirty &= ~(1 << s);
	else
		page->dirty |= 1 << s;
	return 0;
}

static int cache_flush(void)
{
	for (uint64_t i = disk.low; i < disk.high; i++) {
		if (!disk.pages[i])
			continue;
		if (page_write(i, disk.pages[i]->dirty))
			return -1;
		page_drop(i);
	}
	disk.low = disk.high = 0;
	return 0;
}

static int zero_range(uint64_t offset, uint64_t count, bool fua)
{
	uint64_t sector = offset / SECTOR;
	uint64_t end = sector + count / SECTOR;

	while (sector < end) {
		bool whole = sector % PAGE_SECTORS == 0 &&
			     end - sector >= PAGE_SECTORS;
		struct page *page = disk.pages[sector / PAGE_SECTORS];

		if (whole && !fua && (!page || page == &zero_page)) {
			page_set(sector / PAGE_SECTORS, &zero_page);
			sector += PAGE_SECTORS;
			continue;
		}
		if (sector_write(sector++, NULL, fua))
			return -1;
	}
	return 0;
}

/* The lots of one page at the cut: the sectors that survive. */
static uint8_t page_survivors(const struct page *page)
{
	uint8_t kept = 0;

	if (disk.grain == PAGE)
		return lot_keeps() ? page->dirty : 0;
	for (int s = 0; s < PAGE_SECTORS; s++)
		if (page->dirty & 1 << s && lot_keeps())
			kept |= 1 << s;
	return kept;
}

static void power_cut(void)
{
	uint64_t unflushed = 0, lost = 0;

	for (uint64_t i = disk.low; i < disk.high; i++) {
		struct page *page = disk.pages[i];
		uint8_t kept;

		if (!page)
			continue;
		kept = page_survivors(page);
		unflushed += __builtin_popcount(page->dirty);
		lost += __builtin_popcount(page->dirty & ~kept);
		page_write(i, kept);
		page_drop(i);
	}
	disk.low = disk.high = 0;
	fprintf(stderr, "%s: power cut, seed %llu: %llu of %llu unflushed sectors lost\n",
		disk.path, (unsigned long long)disk.seed,
		(unsigned long long)lost, (unsigned long long)unflushed);
}

/* ---- nbdkit's calls ---- */

static int volatile_config(const char *key, const char *value)
{
	if (!strcmp(key, "file")) {
		disk.path = value;
		return 0;
	}
	if (!strcmp(key, "fail")) {
		disk.fail = value;
		return 0;
	}
	if (!strcmp(key, "seed"))
		return nbdkit_parse_uint64_t(key, value, &disk.seed);
	if (!strcmp(key, "grain"))
		return nbdkit_parse_int64_t(key, value, &disk.grain);
	if (!strcmp(key, "keep"))
		return nbdkit_parse_int64_t(key, value, &disk.keep);
	if (!strcmp(key, "flush"))
		return nbdkit_parse_int64_t(key, value, &disk.flush_ms);
	nbdkit_error("unknown parameter '%s'", key);
	return -1;
}

static int volatile_config_complete(void)
{
	if (!disk.path || (disk.grain != SECTOR && disk.grain != PAGE) ||
	    disk.keep < 0 || disk.keep > 100 ||
	    disk.flush_ms < 0 || disk.flush_ms > FLUSH_MS_MAX) {
		nbdkit_error("needs file=PATH, grain=512|4096, keep=0..100, flush=0..%d",
			     FLUSH_MS_MAX);
		return -1;
	}
	return 0;
}

static int volatile_get_ready(void)
{
	struct stat st;

	disk.fd = open(disk.path, O_RDWR | O_CLOEXEC);
	if (disk.fd < 0 || fstat(disk.fd, &st)) {
		nbdkit_error("%s: %m", disk.path);
		return -1;
	}
	disk.size = st.st_size / PAGE * PAGE;
	disk.random = disk.seed;
	disk.pages = calloc(disk.size / PAGE + 1, sizeof(*disk.pages));
	if (!disk.pages) {
		nbdkit_error("%s: no memory for its page table", disk.path);
		return -1;
	}
	return 0;
}

static void *volatile_open(int readonly)
{
	(void)readonly;
	return NBDKIT_HANDLE_NOT_NEEDED;
}

static int64_t volatile_get_size(void *handle)
{
	(void)handle;
	return disk.size;
}

static int volatile_block_size(void *handle, uint32_t *minimum,
			       uint32_t *preferred, uint32_t *maximum)
{
	(void)handle;
	*minimum = SECTOR;
	*preferred = PAGE;
	*maximum = 32 << 20;
	return 0;
}

static int volatile_can_fua(void *handle)
{
	(void)handle;
	return NBDKIT_FUA_NATIVE;
}

static bool is_aligned(uint32_t count, uint64_t offset)
{
	if (count % SECTOR == 0 && offset % SECTOR == 0)
		return true;
	nbdkit_error("request is not aligned to sectors");
	errno = EINVAL;
	return false;
}

static bool is_failing(void)
{
	if (!disk.fail || access(disk.fail, F_OK))
		return false;
	errno = EIO;
	return true;
}

static int cache_read(char *buf, uint32_t count, uint64_t offset)
{
	if (file_read(buf, count, offset))
		return -1;
	for (uint32_t at = 0; at < count; at += SECTOR) {
		uint64_t sector = (offset + at) / SECTOR;
		struct page *page = disk.pages[sector / PAGE_SECTORS];
		int s = sector % PAGE_SECTORS;

		if (page && page->dirty & 1 << s)
			memcpy(buf + at, page->data + s * SECTOR, SECTOR);
	}
	return 0;
}

static int cache_write(const char *buf, uint32_t count, uint64_t offset, bool fua)
{
	for (uint32_t at = 0; at < count; at += SECTOR)
		if (sector_write((offset + at) / SECTOR, buf + at, fua))
			return -1;
	return 0;
}

static int volatile_pread(void *handle, void *buf, uint32_t count,
			  uint64_t offset, uint32_t flags)
{
	int ret;

	(void)handle;
	(void)flags;
	if (!is_aligned(count, offset))
		return -1;
	pthread_mutex_lock(&lock);
	ret = cache_read(buf, count, offset);
	pthread_mutex_unlock(&lock);
	return ret;
}

static int volatile_pwrite(void *handle, const void *buf, uint32_t count,
			   uint64_t offset, uint32_t flags)
{
	int ret;

	(void)handle;
	if (!is_aligned(count, offset) || is_failing())
		return -1;
	pthread_mutex_lock(&lock);
	ret = cache_write(buf, count, offset, flags & NBDKIT_FLAG_FUA);
	pthread_mutex_unlock(&lock);
	return ret;
}

static int volatile_zero(void *handle, uint32_t count, uint64_t offset,
			 uint32_t flags)
{
	int ret;

	(void)handle;
	if (!is_aligned(count, offset) || is_failing())
		return -1;
	pthread_mutex_lock(&lock);
	ret = zero_range(offset, count, flags & NBDKIT_FLAG_FUA);
	pthread_mutex_unlock(&lock);
	return ret;
}

static int volatile_flush(void *handle, uint32_t flags)
{
	int ret;

	(void)handle;
	(void)flags;
	/* When the power goes meanwhile, the flush has not been. */
	if (disk.flush_ms && nbdkit_nanosleep(disk.flush_ms / 1000,
					      disk.flush_ms % 1000 * 1000000))
		return -1;
	if (is_failing())
		return -1;
	pthread_mutex_lock(&lock);
	ret = cache_flush();
	pthread_mutex_unlock(&lock);
	return ret;
}

static void volatile_unload(void)
{
	if (!disk.pages)
		return;
	power_cut();
	free(disk.pages);
	disk.pages = NULL;
	close(disk.fd);
}

static struct nbdkit_plugin plugin = {
	.name			= "volatile",
	.description		= "disk with a volatile write cache",
	.config			= volatile_config,
	.config_complete	= volatile_config_complete,
	.get_ready		= volatile_get_ready,
	.open			= volatile_open,
	.get_size		= volatile_get_size,
	.block_size		= volatile_block_size,
	.can_fua		= volatile_can_fua,
	.pread			= volatile_pread,
	.pwrite			= volatile_pwrite,
	.trim			= volatile_zero,
	.zero			= volatile_zero,
	.flush			= volatile_flush,
	.unload			= volatile_unload,
	.errno_is_preserved	= 1,
};

NBDKIT_REGISTER_PLUGIN(plugin)
