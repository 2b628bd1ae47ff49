#ifndef CSENTENCEPIECE_H
#define CSENTENCEPIECE_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

// SentencePiece behind C. A call that fails returns NULL or a negative number and sets *error to a message;
// messages and arrays belong to the caller, who gives them back with sentencepiece_release. Encoding and decoding
// with one processor from several threads is safe.
typedef struct sentencepiece_processor sentencepiece_processor;

sentencepiece_processor *_Nullable sentencepiece_load_file(const char *_Nonnull path, char *_Nullable *_Nonnull error);
sentencepiece_processor *_Nullable sentencepiece_load_memory(const void *_Nonnull bytes, size_t count,
                                                             char *_Nullable *_Nonnull error);
void sentencepiece_free(sentencepiece_processor *_Nullable processor);

// The number of ids; -1 and a message if *ids could not be made.
int64_t sentencepiece_encode(const sentencepiece_processor *_Nonnull processor, const char *_Nullable text, size_t count,
                             int32_t *_Nullable *_Nonnull ids, char *_Nullable *_Nonnull error);
// The pieces instead of their ids, each UTF-8 and a zero, *piece_bytes bytes in all; -1 and a message if they could not be made.
int sentencepiece_encode_as_pieces(const sentencepiece_processor *_Nonnull processor, const char *_Nullable text, size_t count,
                                   char *_Nullable *_Nonnull pieces, size_t *_Nonnull piece_bytes,
                                   char *_Nullable *_Nonnull error);
// UTF-8, *count bytes and a terminating zero.
char *_Nullable sentencepiece_decode(const sentencepiece_processor *_Nonnull processor, const int32_t *_Nullable ids,
                                     size_t id_count, size_t *_Nonnull count, char *_Nullable *_Nonnull error);

int32_t sentencepiece_vocabulary_size(const sentencepiece_processor *_Nonnull processor);
// The unknown token's id for a piece that is not in the vocabulary.
int32_t sentencepiece_piece_to_id(const sentencepiece_processor *_Nonnull processor, const char *_Nonnull piece);
// A copy; NULL and a message for an id outside the vocabulary.
char *_Nullable sentencepiece_id_to_piece(const sentencepiece_processor *_Nonnull processor, int32_t id,
                                          char *_Nullable *_Nonnull error);
int32_t sentencepiece_unknown_id(const sentencepiece_processor *_Nonnull processor);
// -1 if the model has none.
int32_t sentencepiece_end_of_sentence_id(const sentencepiece_processor *_Nonnull processor);
// 1 for control symbols, which no text is ever encoded to.
int sentencepiece_is_control(const sentencepiece_processor *_Nonnull processor, int32_t id);

// The logarithm of a piece's probability, for ids of the vocabulary.
float sentencepiece_score(const sentencepiece_processor *_Nonnull processor, int32_t id);
// 1 for pieces of text: no control symbol, byte, unknown or unused token.
int sentencepiece_is_text(const sentencepiece_processor *_Nonnull processor, int32_t id);

// Encodes many sentences of one language or a few, whose words return, some ten times as fast: the same ids as
// sentencepiece_encode, for a model that was trained to split text at spaces and does not normalise it. Keeps up to
// `capacity` words; for one thread at a time. NULL if there is no memory. The processor must outlive it.
typedef struct sentencepiece_word_cache sentencepiece_word_cache;

sentencepiece_word_cache *_Nullable sentencepiece_word_cache_create(const sentencepiece_processor *_Nonnull processor,
                                                                    size_t capacity);
void sentencepiece_word_cache_free(sentencepiece_word_cache *_Nullable cache);
// The number of ids, which are valid until the next call; -1 and a message if they could not be made.
int64_t sentencepiece_word_cache_encode(sentencepiece_word_cache *_Nonnull cache, const char *_Nonnull text, size_t count,
                                        const int32_t *_Nullable *_Nonnull ids, char *_Nullable *_Nonnull error);

// The next training sentence, valid until the next call, and its bytes; NULL at the end.
typedef const char *_Nullable (*sentencepiece_next_sentence)(void *_Nullable context, size_t *_Nonnull count);

// Trains with `option_count` options as of spm_train (without --) on the sentences that `next` gives; if `next` is NULL,
// on the files of the option `input`. The serialized model of *count bytes, or NULL and a message.
void *_Nullable sentencepiece_train(const char *_Nonnull const *_Nonnull keys, const char *_Nonnull const *_Nonnull values,
                                    size_t option_count, sentencepiece_next_sentence _Nullable next,
                                    void *_Nullable context, size_t *_Nonnull count, char *_Nullable *_Nonnull error);

void sentencepiece_release(void *_Nullable memory);

#ifdef __cplusplus
}
#endif

#endif
