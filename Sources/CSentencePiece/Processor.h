#ifndef CSENTENCEPIECE_PROCESSOR_H
#define CSENTENCEPIECE_PROCESSOR_H

#include "CSentencePiece.h"

#include <sentencepiece_processor.h>

#include <cstring>
#include <exception>

struct sentencepiece_processor {
    sentencepiece::SentencePieceProcessor implementation;
};

// For a message no memory is left for, NULL: the caller says "unknown error".
inline void report(char **error, const char *message) noexcept { *error = ::strdup(message); }

inline bool succeeded(const sentencepiece::util::Status &status, char **error) {
    if (status.ok()) return true;
    report(error, status.ToString().c_str());
    return false;
}

// No C++ exception may reach Swift.
template <typename Result, typename Body>
Result guarded(Result failure, char **error, Body body) noexcept {
    *error = nullptr;
    try {
        return body();
    } catch (const std::exception &exception) {
        report(error, exception.what());
    } catch (...) {
        report(error, "unknown C++ exception");
    }
    return failure;
}

#endif
