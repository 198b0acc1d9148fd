/* SPDX-License-Identifier: GPL-2.0-or-later */
/*
 * The cases of records.c: what a peer that has the keys may send in place of a record of
 * data, and in which records its frames may come.
 */
#ifndef SELFTESTS_RECORDS_H
#define SELFTESTS_RECORDS_H

#include <errno.h>
#include <stddef.h>
#include <stdint.h>

/* RFC 8446, B.1 and 5.2 */
#define RECORD_ALERT		21
#define RECORD_HANDSHAKE	22
#define RECORD_DATA		23
#define RECORD_MAX		16384	/* bytes of data */
#define RECORD_HEAD		5
#define RECORD_TAG		16
#define RECORD_BYTES		(RECORD_HEAD + RECORD_MAX + 1 + RECORD_TAG)

enum lie_kind {
	RECORD,		/* of another type, right otherwise */
	TYPELESS,	/* not even the type is in it */
	TAG,		/* its tag is wrong */
	AGAIN,		/* the one before, once more */
	LENGTH,		/* only the header, of a length that none can have */
	VERSION,	/* of another version */
	CLEAR,		/* no record: bytes of a frame */
	FIN,		/* a part of a record, then the end */
};

/*
 * @data: of RECORD, @length bytes; else @length is how long the record says it is, or FIN's
 * part.  @why, @error: what the kernel says; FIN has an error only.
 */
struct lie {
	const char *name;
	enum lie_kind kind;
	uint8_t type;
	const char *data;
	size_t length;
	const char *why;
	int error;
};

#define REFUSED(title, number, named, bytes, told) { \
	.name = title, .kind = RECORD, .type = number, .data = bytes, \
	.length = sizeof(bytes) - 1, .error = -EBADMSG, \
	.why = "refused TLS record: type " #number " (" named "): " told \
}
#define BAD(title, ...) { \
	.name = title, .error = -EBADMSG, \
	.why = "bad TLS record: damaged, or not the peer's", __VA_ARGS__ \
}
#define ENDS(title, bytes) { \
	.name = title, .kind = FIN, .length = bytes, .error = -ECONNRESET \
}

static const struct lie lies[] = {
	REFUSED("close_notify", 21, "alert", "\x01\x00", "01 00"),
	REFUSED("a fatal alert", 21, "alert", "\x02\x28", "02 28"),
	REFUSED("an empty alert", 21, "alert", "", ""),
	REFUSED("KeyUpdate", 22, "handshake", "\x18\x00\x00\x01\x01", "18 00 00 01"),
	REFUSED("NewSessionTicket", 22, "handshake", "\x04\x00\x00\x0d\x00\x00\x00\x00\x00"
		"\x00\x00\x00\x00\x00\x01\x00\x00\x00", "04 00 00 0d"),
	REFUSED("a change of cipher", 20, "change of cipher", "\x01", "01"),
	REFUSED("a type that there is not", 99, "unknown", "anything", "61 6e 79 74"),
	BAD("no type but zeros", .kind = TYPELESS, .length = 64),
	BAD("no type at all", .kind = TYPELESS),
	BAD("a wrong tag", .kind = TAG),
	BAD("a record twice", .kind = AGAIN),
	BAD("a record that is too long", .kind = LENGTH, .length = RECORD_BYTES - RECORD_HEAD + 1),
	BAD("a record that is too short", .kind = LENGTH, .length = RECORD_TAG - 1),
	BAD("a record of another version", .kind = VERSION),
	BAD("a frame in the clear", .kind = CLEAR),
	ENDS("the end", 0),
	ENDS("the end in a record's header", 3),
	ENDS("the end in a record", 30),
};

/* @bytes: of a frame in each record.  @padding, @empties: zeros in, and records before, each. */
struct shape {
	const char *name;
	size_t bytes, padding;
	unsigned int empties;
};

static const struct shape shapes[] = {
	{ "as long as they can be", .bytes = RECORD_MAX },
	{ "that end in the middle of headers", .bytes = 30 },
	{ "of one byte", .bytes = 1 },
	{ "that are padded", .bytes = 1000, .padding = 300 },
	{ "between empty ones", .bytes = 48, .empties = 3 },
	{ "behind a hundred empty ones", .bytes = RECORD_MAX, .empties = 100 },
};

#endif /* SELFTESTS_RECORDS_H */
