#include "CSentencePiece.h"
#include "Processor.h"
#include "TextTable.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <new>
#include <string>

// Why words can be encoded one by one: the trainer splits text at spaces, so that no piece goes over one, and the best
// segmentation of a sentence is that of its words. But scores are summed in 32 bits from the begin of the sentence: where two
// segmentations of a word are nearly as good as each other, what stands before it decides. Each word is therefore kept with the
// margin by which its best segmentation is better than any other, and used where that is more than rounding comes to.
struct sentencepiece_word_cache {
    struct Tokens {
        uint32_t first = 0;
        uint32_t count = 0;
        // Infinite where there is one segmentation; 0 where SentencePiece must be asked.
        float margin = 0;
    };
    struct Piece {
        int32_t id;
        float score;
    };

    const sentencepiece_processor *processor;
    size_t capacity;
    // The model's pieces of text, the length of the longest, in bytes, and the greatest |score|.
    TextTable<Piece> pieces;
    size_t longest_piece = 0;
    double greatest_score = 0;
    TextTable<Tokens> words;
    std::vector<int32_t> ids;
    std::vector<int32_t> sentence;
};

namespace {

// Longer ones are rare.
constexpr size_t longest_word = 64;
constexpr size_t longest_sentence = 4096;
// The sign that SentencePiece writes for a space, U+2581.
constexpr std::string_view space_sign = "\xE2\x96\x81";

size_t character_bytes(char first) {
    const auto byte = static_cast<unsigned char>(first);
    return byte < 0x80 ? 1 : byte < 0xE0 ? 2 : byte < 0xF0 ? 3 : 4;
}

// Segmentations of a word, `text` with the sign of a space before it, by dynamic programming over its bytes.
class Lattice {
  public:
    explicit Lattice(const sentencepiece_word_cache &cache, std::string_view text) : text_(text), count_(text.size()) {
        for (size_t end = 0; end <= count_; end++) forward_[end] = backward_[end] = none;
        forward_[0] = backward_[count_] = 0;
        for (size_t begin = 0; begin < count_; begin += character_bytes(text_[begin])) {
            const size_t last = std::min(count_, begin + cache.longest_piece);
            bool has_character = false;
            TextHash hash;
            for (size_t end = begin; end < last;) {
                const size_t next = end + character_bytes(text_[end]);
                if (next > last) break;
                hash.extend(text_.substr(end, next - end));
                end = next;
                if (const auto *piece = cache.pieces.find(text_.substr(begin, end - begin), hash)) {
                    arcs_.push_back({begin, end, *piece});
                    const double score = forward_[begin] + piece->score;
                    if (score > forward_[end]) {
                        forward_[end] = score;
                        best_[end] = arcs_.size() - 1;
                    }
                    if (end == begin + character_bytes(text_[begin])) has_character = true;
                }
            }
            // SentencePiece goes on with the unknown token here: left to it.
            if (!has_character) return;
        }
        is_known_ = true;
    }

    // Appends the best segmentation and returns by how much it is the best; appends nothing for a word of other characters.
    float append_best(std::vector<int32_t> &ids) {
        if (!is_known_) return 0;
        std::vector<bool> is_best(arcs_.size(), false);
        std::vector<int32_t> path;
        for (size_t end = count_; end > 0; end = arcs_[best_[end]].begin) {
            is_best[best_[end]] = true;
            path.push_back(arcs_[best_[end]].piece.id);
        }
        for (size_t i = arcs_.size(); i-- > 0;) {
            const Arc &arc = arcs_[i];
            backward_[arc.begin] = std::max(backward_[arc.begin], backward_[arc.end] + arc.piece.score);
        }
        double margin = std::numeric_limits<float>::infinity();
        for (size_t i = 0; i < arcs_.size(); i++) {
            const Arc &arc = arcs_[i];
            const double whole = forward_[arc.begin] + arc.piece.score + backward_[arc.end];
            if (!is_best[i]) margin = std::min(margin, forward_[count_] - whole);
        }
        ids.insert(ids.end(), path.rbegin(), path.rend());
        return static_cast<float>(margin);
    }

  private:
    struct Arc {
        size_t begin;
        size_t end;
        sentencepiece_word_cache::Piece piece;
    };
    static constexpr size_t capacity = longest_word + space_sign.size() + 1;
    static constexpr double none = -1e30;

    std::string_view text_;
    size_t count_;
    std::vector<Arc> arcs_;
    // The score of the best way from the begin to a byte, the last arc of it, and the best way from there to the end.
    double forward_[capacity];
    size_t best_[capacity] = {};
    double backward_[capacity];
    bool is_known_ = false;
};

sentencepiece_word_cache::Tokens added(sentencepiece_word_cache &cache, std::string_view word, TextHash hash) {
    std::string text(space_sign);
    text += word;
    sentencepiece_word_cache::Tokens tokens;
    tokens.first = static_cast<uint32_t>(cache.ids.size());
    tokens.margin = Lattice(cache, text).append_best(cache.ids);
    tokens.count = static_cast<uint32_t>(cache.ids.size()) - tokens.first;
    cache.words.add(word, hash, tokens);
    return tokens;
}

// What two sums over the pieces of a word may lie apart by rounding: each addition is off by at most 2^-24 of the sum, which
// `end` bytes of text bound.
double rounding(const sentencepiece_word_cache &cache, size_t word, size_t end) {
    return 2.0 * static_cast<double>(word) * static_cast<double>(end) * cache.greatest_score / (1 << 24);
}

// Appends the tokens of every word; false if the sentence must be encoded as a whole.
bool encode_words(sentencepiece_word_cache &cache, std::string_view text) {
    if (text.size() > longest_sentence || text.find(space_sign) != std::string_view::npos) return false;
    size_t begin = 0;
    // Bytes so far as SentencePiece has them, with a sign before each word.
    size_t position = 0;
    while (begin < text.size()) {
        const void *found = std::memchr(text.data() + begin, ' ', text.size() - begin);
        const size_t end = found == nullptr ? text.size() : static_cast<const char *>(found) - text.data();
        const std::string_view word = text.substr(begin, end - begin);
        begin = end + 1;
        if (word.empty()) continue;
        if (word.size() > longest_word) return false;
        sentencepiece_word_cache::Tokens tokens;
        const auto hash = TextHash::of(word);
        if (const auto *known = cache.words.find(word, hash)) {
            tokens = *known;
        } else if (cache.words.size() < cache.capacity) {
            tokens = added(cache, word, hash);
        }
        position += space_sign.size() + word.size();
        if (!(tokens.margin > rounding(cache, space_sign.size() + word.size(), position))) return false;
        cache.sentence.insert(cache.sentence.end(), cache.ids.begin() + tokens.first,
                              cache.ids.begin() + tokens.first + tokens.count);
    }
    return true;
}

}  // namespace

sentencepiece_word_cache *sentencepiece_word_cache_create(const sentencepiece_processor *processor, size_t capacity) {
    auto *cache = new (std::nothrow) sentencepiece_word_cache{};
    if (cache == nullptr) return nullptr;
    cache->processor = processor;
    cache->capacity = capacity;
    const auto &implementation = processor->implementation;
    for (int id = 0; id < implementation.GetPieceSize(); id++) {
        if (!sentencepiece_is_text(processor, id)) continue;
        const std::string &text = implementation.IdToPiece(id);
        cache->pieces.add(text, TextHash::of(text), {id, implementation.GetScore(id)});
        cache->longest_piece = std::max(cache->longest_piece, text.size());
        cache->greatest_score = std::max(cache->greatest_score, std::abs(static_cast<double>(implementation.GetScore(id))));
    }
    return cache;
}

void sentencepiece_word_cache_free(sentencepiece_word_cache *cache) { delete cache; }

int64_t sentencepiece_word_cache_encode(sentencepiece_word_cache *cache, const char *text, size_t count,
                                        const int32_t **ids, char **error) {
    return guarded<int64_t>(-1, error, [&]() -> int64_t {
        cache->sentence.clear();
        if (!encode_words(*cache, {text, count})) {
            std::vector<int> encoded;
            if (!succeeded(cache->processor->implementation.Encode({text, count}, &encoded), error)) return -1;
            cache->sentence.assign(encoded.begin(), encoded.end());
        }
        *ids = cache->sentence.data();
        return static_cast<int64_t>(cache->sentence.size());
    });
}
