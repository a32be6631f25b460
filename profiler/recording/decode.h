/* Chunks to records: the encoder's mirror. Every number that a chunk holds is checked before it is
 * used: ids name what is there, counts fit the bytes they came in. */
#ifndef CPROF_RECORDING_DECODE_H
#define CPROF_RECORDING_DECODE_H

#include "base/cursor.h"
#include "profiler/recording/format.h"

struct decoder {
	struct recording *r; /* filled */
	struct path_model paths;
	struct address_model addresses;
	struct sample_model samples;
	struct map fact_ids;
	VEC(uint32_t) statuses; /* of the file -> ours; UNWIND_STATUS_COUNT: unknown here */
};

void decoder_init(struct decoder *d, struct recording *r);
void decoder_deinit(struct decoder *d);

/* Adds what a chunk of the kind holds, END and unknown kinds apart. The error says what is wrong.
 */
struct error *decode_chunk(struct decoder *d, enum recording_chunk kind, struct cursor c) MUST_USE;

#endif
