#include "CSentencePiece.h"
#include "Processor.h"

#include <sentencepiece_trainer.h>

#include <cstdlib>
#include <cstring>
#include <memory>
#include <string>
#include <unordered_map>
#include <vector>

namespace {

using sentencepiece::util::Status;

char *copied(const char *bytes, size_t count) {
    char *copy = static_cast<char *>(std::malloc(count + 1));
    if (copy == nullptr) throw std::bad_alloc();
    if (count > 0) std::memcpy(copy, bytes, count);
    copy[count] = 0;
    return copy;
}

class CallbackIterator : public sentencepiece::SentenceIterator {
  public:
    CallbackIterator(sentencepiece_next_sentence next, void *context) : next_(next), context_(context) { Next(); }
    bool done() const override { return done_; }
    void Next() override {
        size_t count = 0;
        const char *bytes = next_(context_, &count);
        done_ = bytes == nullptr;
        if (!done_) value_.assign(bytes, count);
    }
    const std::string &value() const override { return value_; }
    Status status() const override { return Status(); }

  private:
    sentencepiece_next_sentence next_;
    void *context_;
    std::string value_;
    bool done_ = false;
};

sentencepiece_processor *loaded(std::unique_ptr<sentencepiece_processor> processor, const Status &status, char **error) {
    return succeeded(status, error) ? processor.release() : nullptr;
}

}  // namespace

sentencepiece_processor *sentencepiece_load_file(const char *path, char **error) {
    return guarded<sentencepiece_processor *>(nullptr, error, [&] {
        auto processor = std::make_unique<sentencepiece_processor>();
        const Status status = processor->implementation.Load(path);
        return loaded(std::move(processor), status, error);
    });
}

sentencepiece_processor *sentencepiece_load_memory(const void *bytes, size_t count, char **error) {
    return guarded<sentencepiece_processor *>(nullptr, error, [&] {
        auto processor = std::make_unique<sentencepiece_processor>();
        const Status status =
            processor->implementation.LoadFromSerializedProto({static_cast<const char *>(bytes), count});
        return loaded(std::move(processor), status, error);
    });
}

void sentencepiece_free(sentencepiece_processor *processor) { delete processor; }

int64_t sentencepiece_encode(const sentencepiece_processor *processor, const char *text, size_t count, int32_t **ids,
                             char **error) {
    *ids = nullptr;
    return guarded<int64_t>(-1, error, [&]() -> int64_t {
        std::vector<int> encoded;
        if (!succeeded(processor->implementation.Encode({text, count}, &encoded), error)) return -1;
        static_assert(sizeof(int) == sizeof(int32_t), "ids are 32 bits");
        *ids = reinterpret_cast<int32_t *>(
            copied(reinterpret_cast<const char *>(encoded.data()), encoded.size() * sizeof(int32_t)));
        return static_cast<int64_t>(encoded.size());
    });
}

int sentencepiece_encode_as_pieces(const sentencepiece_processor *processor, const char *text, size_t count, char **pieces,
                                   size_t *piece_bytes, char **error) {
    *pieces = nullptr;
    *piece_bytes = 0;
    return guarded<int>(-1, error, [&]() -> int {
        std::vector<std::string> encoded;
        if (!succeeded(processor->implementation.Encode({text, count}, &encoded), error)) return -1;
        std::string joined;
        for (const std::string &piece : encoded) joined.append(piece).push_back('\0');
        *pieces = copied(joined.data(), joined.size());
        *piece_bytes = joined.size();
        return 0;
    });
}

char *sentencepiece_decode(const sentencepiece_processor *processor, const int32_t *ids, size_t id_count, size_t *count,
                           char **error) {
    return guarded<char *>(nullptr, error, [&]() -> char * {
        std::string text;
        const std::vector<int> list(ids, ids + id_count);
        if (!succeeded(processor->implementation.Decode(list, &text), error)) return nullptr;
        *count = text.size();
        return copied(text.data(), text.size());
    });
}

int32_t sentencepiece_vocabulary_size(const sentencepiece_processor *processor) {
    return processor->implementation.GetPieceSize();
}

int32_t sentencepiece_piece_to_id(const sentencepiece_processor *processor, const char *piece) {
    return processor->implementation.PieceToId(piece);
}

char *sentencepiece_id_to_piece(const sentencepiece_processor *processor, int32_t id, char **error) {
    return guarded<char *>(nullptr, error, [&]() -> char * {
        if (id < 0 || id >= processor->implementation.GetPieceSize()) {
            report(error, "the id is outside the vocabulary");
            return nullptr;
        }
        const std::string &piece = processor->implementation.IdToPiece(id);
        return copied(piece.data(), piece.size());
    });
}

int32_t sentencepiece_unknown_id(const sentencepiece_processor *processor) { return processor->implementation.unk_id(); }

int32_t sentencepiece_end_of_sentence_id(const sentencepiece_processor *processor) {
    return processor->implementation.eos_id();
}

int sentencepiece_is_control(const sentencepiece_processor *processor, int32_t id) {
    return id >= 0 && id < processor->implementation.GetPieceSize() && processor->implementation.IsControl(id);
}

float sentencepiece_score(const sentencepiece_processor *processor, int32_t id) {
    return processor->implementation.GetScore(id);
}

int sentencepiece_is_text(const sentencepiece_processor *processor, int32_t id) {
    const auto &implementation = processor->implementation;
    return !implementation.IsControl(id) && !implementation.IsUnknown(id) && !implementation.IsUnused(id)
        && !implementation.IsByte(id);
}

void *sentencepiece_train(const char *const *keys, const char *const *values, size_t option_count,
                          sentencepiece_next_sentence next, void *context, size_t *count, char **error) {
    return guarded<void *>(nullptr, error, [&]() -> void * {
        std::unordered_map<std::string, std::string> options;
        for (size_t i = 0; i < option_count; i++) options[keys[i]] = values[i];
        std::string model;
        Status status;
        if (next == nullptr) {
            status = sentencepiece::SentencePieceTrainer::Train(options, nullptr, &model);
        } else {
            CallbackIterator iterator(next, context);
            status = sentencepiece::SentencePieceTrainer::Train(options, &iterator, &model);
        }
        if (!succeeded(status, error)) return nullptr;
        *count = model.size();
        return copied(model.data(), model.size());
    });
}

void sentencepiece_release(void *memory) { std::free(memory); }
