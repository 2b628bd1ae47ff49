#include "CMPI.h"

#include <mpi.h>
#include <stdlib.h>
#include <string.h>

_Static_assert(sizeof(MPI_Comm) == sizeof(void *) && sizeof(MPI_Request) == sizeof(void *),
               "handles must be pointers, as Open MPI's are");

const int CMPI_success = MPI_SUCCESS;
const int CMPI_thread_funneled = MPI_THREAD_FUNNELED;

static MPI_Datatype datatype(CMPI_Type type) {
    switch (type) {
    case CMPI_TypeFloat32: return MPI_FLOAT;
    case CMPI_TypeFloat64: return MPI_DOUBLE;
    case CMPI_TypeInt32: return MPI_INT32_T;
    case CMPI_TypeInt64: return MPI_INT64_T;
    case CMPI_TypeUInt8: return MPI_UINT8_T;
    }
    abort();
}

static void copy_text(const char *source, char *text, size_t capacity) {
    size_t length = strnlen(source, capacity - 1);
    memcpy(text, source, length);
    text[length] = 0;
}

int CMPI_initialized(int *flag) { return MPI_Initialized(flag); }

int CMPI_init(int *provided) { return MPI_Init_thread(NULL, NULL, MPI_THREAD_FUNNELED, provided); }

int CMPI_finalize(void) { return MPI_Finalize(); }

void CMPI_abort(int code) {
    MPI_Abort(MPI_COMM_WORLD, code);
    abort();
}

int CMPI_is_thread_main(int *flag) { return MPI_Is_thread_main(flag); }

void CMPI_error_string(int code, char *text, size_t capacity) {
    char full[MPI_MAX_ERROR_STRING];
    int length = 0;
    if (MPI_Error_string(code, full, &length) != MPI_SUCCESS) strcpy(full, "unknown error");
    copy_text(full, text, capacity);
}

int CMPI_processor_name(char *text, size_t capacity) {
    char full[MPI_MAX_PROCESSOR_NAME] = "";
    int length = 0;
    int code = MPI_Get_processor_name(full, &length);
    copy_text(full, text, capacity);
    return code;
}

CMPI_Comm CMPI_comm_world(void) { return MPI_COMM_WORLD; }

int CMPI_comm_rank(CMPI_Comm comm, int *rank) { return MPI_Comm_rank(comm, rank); }

int CMPI_comm_size(CMPI_Comm comm, int *size) { return MPI_Comm_size(comm, size); }

int CMPI_comm_return_errors(CMPI_Comm comm) { return MPI_Comm_set_errhandler(comm, MPI_ERRORS_RETURN); }

// The result of an operation that made a communicator.
static int made(int code, MPI_Comm comm, void **result) {
    *result = comm;
    return code == MPI_SUCCESS ? CMPI_comm_return_errors(comm) : code;
}

int CMPI_comm_split(CMPI_Comm comm, int color, int key, void **part) {
    MPI_Comm result = MPI_COMM_NULL;
    int code = MPI_Comm_split(comm, color, key, &result);
    return made(code, result, part);
}

int CMPI_comm_duplicate(CMPI_Comm comm, void **copy) {
    MPI_Comm result = MPI_COMM_NULL;
    int code = MPI_Comm_dup(comm, &result);
    return made(code, result, copy);
}

int CMPI_comm_free(CMPI_Comm comm) {
    MPI_Comm handle = comm;
    return MPI_Comm_free(&handle);
}

int CMPI_start_barrier(CMPI_Comm comm, CMPI_Request *request) { return MPI_Ibarrier(comm, (MPI_Request *)request); }

int CMPI_start_broadcast(void *buffer, int count, CMPI_Type type, int root, CMPI_Comm comm, CMPI_Request *request) {
    return MPI_Ibcast(buffer, count, datatype(type), root, comm, (MPI_Request *)request);
}

int CMPI_start_all_gather(const void *sent, int count, CMPI_Type type, void *received, CMPI_Comm comm,
                          CMPI_Request *request) {
    return MPI_Iallgather(sent, count, datatype(type), received, count, datatype(type), comm, (MPI_Request *)request);
}

int CMPI_start_all_to_all(const void *sent, int count, CMPI_Type type, void *received, CMPI_Comm comm,
                          CMPI_Request *request) {
    return MPI_Ialltoall(sent, count, datatype(type), received, count, datatype(type), comm, (MPI_Request *)request);
}

int CMPI_start_send(const void *buffer, int bytes, int peer, int tag, CMPI_Comm comm, CMPI_Request *request) {
    return MPI_Isend(buffer, bytes, MPI_BYTE, peer, tag, comm, (MPI_Request *)request);
}

int CMPI_start_receive(void *buffer, int bytes, int peer, int tag, CMPI_Comm comm, CMPI_Request *request) {
    return MPI_Irecv(buffer, bytes, MPI_BYTE, peer, tag, comm, (MPI_Request *)request);
}

int CMPI_test_some(CMPI_Request *requests, int count, int *complete, int *indices) {
    return MPI_Testsome(count, (MPI_Request *)requests, complete, indices, MPI_STATUSES_IGNORE);
}

int CMPI_wait_some(CMPI_Request *requests, int count, int *complete, int *indices) {
    return MPI_Waitsome(count, (MPI_Request *)requests, complete, indices, MPI_STATUSES_IGNORE);
}
