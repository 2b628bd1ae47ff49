// MPI for Swift: what <mpi.h> defines as macros, as functions and constants, behind opaque handles. This header does not
// include <mpi.h>: its handle types are structures that Swift cannot import, and only CMPI.c should depend on them.
//
// Every function that can fail returns MPI's error code, CMPI_success if all went well.

#ifndef CMPI_H
#define CMPI_H

#include <stddef.h>
#include <stdint.h>

typedef void *CMPI_Comm;
typedef void *CMPI_Request;

typedef enum __attribute__((enum_extensibility(closed))) {
    CMPI_TypeFloat32,
    CMPI_TypeFloat64,
    CMPI_TypeInt32,
    CMPI_TypeInt64,
    CMPI_TypeUInt8,
} CMPI_Type;

extern const int CMPI_success;
// Levels of thread support ascend; less than this one will not do.
extern const int CMPI_thread_funneled;

int CMPI_initialized(int *_Nonnull flag);
// Asks for MPI_THREAD_FUNNELED.
int CMPI_init(int *_Nonnull provided);
int CMPI_finalize(void);
_Noreturn void CMPI_abort(int code);
int CMPI_is_thread_main(int *_Nonnull flag);

// Texts; `capacity` counts the terminating zero, longer texts are cut.
void CMPI_error_string(int code, char *_Nonnull text, size_t capacity);
int CMPI_processor_name(char *_Nonnull text, size_t capacity);

CMPI_Comm _Nonnull CMPI_comm_world(void);
int CMPI_comm_rank(CMPI_Comm _Nonnull comm, int *_Nonnull rank);
int CMPI_comm_size(CMPI_Comm _Nonnull comm, int *_Nonnull size);
// New communicators return errors instead of ending the process.
int CMPI_comm_return_errors(CMPI_Comm _Nonnull comm);
int CMPI_comm_split(CMPI_Comm _Nonnull comm, int color, int key, void *_Nullable *_Nonnull part);
int CMPI_comm_duplicate(CMPI_Comm _Nonnull comm, void *_Nullable *_Nonnull copy);
int CMPI_comm_free(CMPI_Comm _Nonnull comm);

// Collective operations, and messages of bytes between two ranks; none of them blocks.
int CMPI_start_barrier(CMPI_Comm _Nonnull comm, CMPI_Request _Nullable *_Nonnull request);
int CMPI_start_broadcast(void *_Nullable buffer, int count, CMPI_Type type, int root, CMPI_Comm _Nonnull comm,
                         CMPI_Request _Nullable *_Nonnull request);
int CMPI_start_all_gather(const void *_Nullable sent, int count, CMPI_Type type, void *_Nullable received,
                          CMPI_Comm _Nonnull comm, CMPI_Request _Nullable *_Nonnull request);
int CMPI_start_all_to_all(const void *_Nullable sent, int count, CMPI_Type type, void *_Nullable received,
                          CMPI_Comm _Nonnull comm, CMPI_Request _Nullable *_Nonnull request);
int CMPI_start_send(const void *_Nonnull buffer, int bytes, int peer, int tag, CMPI_Comm _Nonnull comm,
                    CMPI_Request _Nullable *_Nonnull request);
int CMPI_start_receive(void *_Nonnull buffer, int bytes, int peer, int tag, CMPI_Comm _Nonnull comm,
                       CMPI_Request _Nullable *_Nonnull request);

// How many of at least one request are complete, and which: `indices` has room for all. The second waits until one is.
int CMPI_test_some(CMPI_Request _Nullable *_Nonnull requests, int count, int *_Nonnull complete, int *_Nonnull indices);
int CMPI_wait_some(CMPI_Request _Nullable *_Nonnull requests, int count, int *_Nonnull complete, int *_Nonnull indices);

#endif
