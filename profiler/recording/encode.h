/*
 * Records to chunks. The encoder holds what a chunk is predicted from (the models of format.h), so
 * the chunks of a recording are made in the order in which they are written.
 */
#ifndef CPROF_RECORDING_ENCODE_H
#define CPROF_RECORDING_ENCODE_H

#include "base/buf.h"
#include "profiler/recording/format.h"

struct encoder {
	void *zstd; /* ZSTD_CCtx */
	struct buf columns[RECORDING_COLUMNS_MAX];
	struct buf raw;
	struct buf chunk; /* the finished chunk, header and all, until the next call */
	struct path_model paths;
	struct address_model addresses;
	struct sample_model samples;
};

void encoder_init(struct encoder *e);
void encoder_deinit(struct encoder *e);

/* `status_names` are the strings of the UNWIND_STATUS_COUNT names. */
void encode_head(struct encoder *e, const struct recording *r, const uint32_t *status_names);

/* Each makes one chunk of the records [from, to) of r. */
void encode_locations(struct encoder *e, const struct recording *r, size_t from, size_t to);
void encode_stacks(struct encoder *e, const struct recording *r, size_t from, size_t to);
void encode_samples(struct encoder *e, const struct recording *r, size_t from, size_t to);
void encode_symbols(struct encoder *e, const struct recording *r, size_t from, size_t to);
void encode_end(struct encoder *e, uint64_t n_samples);

/* The strings from `from` on, as many as one chunk takes; returns the first that is left. */
uint32_t encode_strings(struct encoder *e, const struct recording *r, uint32_t from);

/* Rows of tables and notes collect in e->raw until encode_rows() makes a chunk of them. */
void encode_event(struct encoder *e, const struct recording_event *v);
void encode_process(struct encoder *e, const struct recording_process *v);
void encode_file(struct encoder *e, const struct recording_file *v);
void encode_thread(struct encoder *e, const struct recording_thread *v);
void encode_comm(struct encoder *e, const struct recording_comm *v);
void encode_mapping(struct encoder *e, const struct recording_mapping *v);
void encode_fact(struct encoder *e, const struct recording_fact *v);
void encode_diagnostic(struct encoder *e, const struct recording_diagnostic *v);
void encode_rows(struct encoder *e, enum recording_chunk kind);

#endif
