# cython: language_level=3, boundscheck=False, wraparound=False, cdivision=True
"""The call of a compiled model: arguments checked, pointers taken, outputs made, the library's function called without the GIL.

Arrays are reached through the buffer protocol, so that no NumPy headers are needed. What this file does not take as it is (another
layout, a scalar, a tensor of another library) goes through the functions of `arguments.py`, which also find the words for errors.
"""
cimport cython
from cpython.buffer cimport (PyBUF_C_CONTIGUOUS, PyBUF_FORMAT, PyBUF_WRITABLE, PyBuffer_Release, PyObject_CheckBuffer, PyObject_GetBuffer)
from cpython.tuple cimport PyTuple_GET_SIZE, PyTuple_GET_ITEM
from libc.stdint cimport int32_t, int64_t, uintptr_t
from libc.stdlib cimport calloc, free, realloc

from dlcompile.errors import ExecutionError


cdef struct Options:  # dlc_options
    int32_t threads

ctypedef int32_t (*RunFunction)(void *, const int64_t *, const void *const *, void *const *) noexcept nogil
ctypedef void *(*CreateFunction)(const Options *) noexcept nogil
ctypedef void (*DestroyFunction)(void *) noexcept nogil
ctypedef const char *(*ErrorFunction)(const void *) noexcept nogil
ctypedef int32_t (*ShapeFunction)(const int64_t *, int32_t, int64_t *) noexcept nogil
ctypedef void (*ProfileFunction)(void *, double *) noexcept nogil
ctypedef int32_t (*ThreadsFunction)(const void *) noexcept nogil


cdef struct Axis:  # dlc_dim: extent = scale*symbols[symbol] + offset; symbol -1: a constant, -2: ask shape()
    int symbol
    int64_t scale, offset

cdef struct Port:
    char kind  # what the format of a buffer must be; 0 where only `arguments` can tell
    char other_kind
    int itemsize, rank
    bint by_expression  # some axis has symbol -2
    bint is_static
    Axis *axes


cdef struct Frame:  # of one call
    Py_buffer *views
    int held
    int64_t *symbols
    int64_t *dims
    void **pointers  # inputs, then outputs


cdef extern from "dlfcn.h" nogil:
    int dlclose(void *handle)


cdef class Handle:
    """An open library, closed when nobody refers to it any more. No part of it is the garbage collector's: that would have it closed
    before the contexts are gone which the library must destroy."""

    cdef void *handle

    def __cinit__(self, address):
        self.handle = <void *><uintptr_t>address

    def __dealloc__(self):
        dlclose(self.handle)


@cython.no_gc_clear  # for the same reason
cdef class Caller:
    """Calls one model. Contexts are made as calls overlap, and kept for the calls to come."""

    cdef int input_count, output_count, symbol_count, max_rank
    cdef Port *ports
    cdef void **idle
    cdef int idle_count, idle_capacity
    cdef RunFunction c_run
    cdef CreateFunction c_create
    cdef DestroyFunction c_destroy
    cdef ErrorFunction c_error
    cdef ShapeFunction c_shape
    cdef ProfileFunction c_profile
    cdef ThreadsFunction c_threads
    cdef Options options
    cdef readonly object library
    cdef Handle handle
    cdef object arguments, empty, output_dtypes, output_shapes, input_names
    cdef bint takes_out
    cdef size_t frame_bytes

    def __cinit__(self):
        self.ports = NULL
        self.idle = NULL

    def __init__(self, library, Handle handle, functions, ports, arguments, int symbol_count, int threads, empty):
        """functions: addresses of run, create, destroy, error, shape, profile, context_threads. ports: for each (kinds, itemsize, axes,
        name, dtype to allocate, static shape or None), inputs first. arguments: an object with `names`, `input`, `output`, `wrong`."""
        cdef int i, axis
        self.library, self.handle, self.arguments, self.empty = library, handle, arguments, empty
        addresses = [<uintptr_t>a for a in functions]
        self.c_run = <RunFunction><uintptr_t>addresses[0]
        self.c_create = <CreateFunction><uintptr_t>addresses[1]
        self.c_destroy = <DestroyFunction><uintptr_t>addresses[2]
        self.c_error = <ErrorFunction><uintptr_t>addresses[3]
        self.c_shape = <ShapeFunction><uintptr_t>addresses[4]
        self.c_profile = <ProfileFunction><uintptr_t>addresses[5]
        self.c_threads = <ThreadsFunction><uintptr_t>addresses[6]
        inputs, outputs = ports
        self.input_count, self.output_count, self.symbol_count = len(inputs), len(outputs), symbol_count
        self.options.threads = threads
        self.input_names = tuple(p[3] for p in inputs)
        self.takes_out = "out" not in self.input_names
        self.output_dtypes = tuple(p[4] for p in outputs)
        self.output_shapes = tuple(p[5] for p in outputs)
        count = self.input_count + self.output_count
        self.ports = <Port *>calloc(count + 1, sizeof(Port))
        if self.ports == NULL:
            raise MemoryError()
        for i, (kinds, itemsize, axes, name, dtype, shape) in enumerate((*inputs, *outputs)):
            self.ports[i].kind = ord(kinds[0]) if kinds else 0
            self.ports[i].other_kind = ord(kinds[len(kinds) - 1]) if kinds else 0
            self.ports[i].itemsize = itemsize
            self.ports[i].rank = len(axes)
            self.ports[i].is_static = shape is not None
            self.ports[i].axes = <Axis *>calloc(len(axes) + 1, sizeof(Axis))
            if self.ports[i].axes == NULL:
                raise MemoryError()
            self.max_rank = max(self.max_rank, len(axes))
            for axis, (symbol, scale, offset) in enumerate(axes):
                self.ports[i].axes[axis].symbol = symbol
                self.ports[i].axes[axis].scale = scale
                self.ports[i].axes[axis].offset = offset
                self.ports[i].by_expression |= symbol == -2
        self.frame_bytes = (count * (sizeof(Py_buffer) + sizeof(void *)) + (symbol_count + self.max_rank + 1) * sizeof(int64_t))

    def __dealloc__(self):
        cdef int i
        while self.idle_count:
            self.idle_count -= 1
            self.c_destroy(self.idle[self.idle_count])
        free(self.idle)
        if self.ports != NULL:
            for i in range(self.input_count + self.output_count):
                free(self.ports[i].axes)
            free(self.ports)

    # -- contexts (all of this with the GIL held, which is what keeps the list whole) -----------------------------------------
    cdef void *take(self) except NULL:
        cdef void *context
        if self.idle_count:
            self.idle_count -= 1
            return self.idle[self.idle_count]
        with nogil:
            context = self.c_create(&self.options)
        if context == NULL:
            raise ExecutionError(self.c_error(NULL).decode("utf-8", "replace"))
        return context

    cdef int put_back(self, void *context) except -1:
        cdef void **larger
        if self.idle_count == self.idle_capacity:
            larger = <void **>realloc(self.idle, (self.idle_capacity * 2 + 4) * sizeof(void *))
            if larger == NULL:
                self.c_destroy(context)
                return 0
            self.idle = larger
            self.idle_capacity = self.idle_capacity * 2 + 4
        self.idle[self.idle_count] = context
        self.idle_count += 1
        return 0

    @property
    def threads(self):
        """The threads a run uses."""
        cdef void *context = self.take()
        try:
            return self.c_threads(context)
        finally:
            self.put_back(context)

    # -- a call ---------------------------------------------------------------------------------------------------------------
    def __call__(self, *args, **kwargs):
        out = None
        if kwargs:
            if self.takes_out:
                out = kwargs.pop("out", None)
            args = self.arguments.named(args, kwargs)
        elif PyTuple_GET_SIZE(args) != self.input_count:
            args = self.arguments.named(args, kwargs)
        return self.invoke(args, out, NULL)

    def profiled(self, tuple args, seconds):
        """A call with `args` that adds the seconds of each kernel call to the float64 array `seconds`."""
        cdef double[::1] view = seconds
        return self.invoke(args, None, &view[0] if view.shape[0] else NULL)

    cdef object invoke(self, tuple args, out, double *seconds):
        cdef Frame frame
        cdef char *memory = <char *>calloc(1, self.frame_bytes)
        cdef int count = self.input_count + self.output_count
        if memory == NULL:
            raise MemoryError()
        frame.views = <Py_buffer *>memory
        frame.pointers = <void **>(memory + count * sizeof(Py_buffer))
        frame.symbols = <int64_t *>(frame.pointers + count)
        frame.dims = frame.symbols + self.symbol_count
        frame.held = 0
        try:
            return self.call(args, out, &frame, seconds)
        finally:
            while frame.held:
                frame.held -= 1
                PyBuffer_Release(&frame.views[frame.held])
            free(memory)

    cdef object call(self, tuple args, out, Frame *frame, double *seconds):
        cdef int i, status
        cdef bint unbound = False
        cdef void *context
        for i in range(self.symbol_count):
            frame.symbols[i] = -1
        for i in range(self.input_count):
            self.take_input(i, <object>PyTuple_GET_ITEM(args, i), frame, args)
        for i in range(self.symbol_count):
            unbound |= frame.symbols[i] < 0
        if unbound:
            raise self.arguments.unbound([frame.symbols[i] for i in range(self.symbol_count)])
        for i in range(self.input_count):
            if self.ports[i].by_expression and not self.fits(i, frame):
                raise self.arguments.wrong(args, [frame.symbols[k] for k in range(self.symbol_count)])
        results = self.make_outputs(frame) if out is None else self.arguments.outputs(out, self.shapes(frame), args)
        for i in range(self.output_count):
            PyObject_GetBuffer(results[i], &frame.views[frame.held], PyBUF_C_CONTIGUOUS | PyBUF_WRITABLE)
            frame.pointers[self.input_count + i] = frame.views[frame.held].buf
            frame.held += 1
        context = self.take()
        if seconds != NULL:
            self.c_profile(context, seconds)
        with nogil:
            status = self.c_run(context, frame.symbols, <const void *const *>frame.pointers, frame.pointers + self.input_count)
        if seconds != NULL:
            self.c_profile(context, NULL)
        message = None if status == 0 else self.c_error(context).decode("utf-8", "replace")
        self.put_back(context)
        if message is not None:
            raise self.arguments.failed(status, message)
        return self.arguments.finish(results, out) if out is not None or self.arguments.finishes else (
            results[0] if self.output_count == 1 else results)

    cdef int take_input(self, int index, value, Frame *frame, tuple args) except -1:
        """The pointer of an input, its symbols bound; a copy is made where the array does not lie as the model reads it."""
        cdef Port *port = &self.ports[index]
        cdef Py_buffer *view = &frame.views[frame.held]
        if not self.get(value, port, view):
            value = self.arguments.input(index, value)
            if not self.get(value, port, view):
                PyObject_GetBuffer(value, view, PyBUF_C_CONTIGUOUS)  # an element type that buffers cannot name, stored as integers
        frame.held += 1
        frame.pointers[index] = view.buf
        if not self.bind(port, view, frame):
            raise self.arguments.wrong(args, [frame.symbols[k] for k in range(self.symbol_count)])
        return 0

    cdef bint get(self, value, Port *port, Py_buffer *view) except -1:
        """Take the buffer of `value` where the model can read it in place."""
        cdef const char *format
        if not PyObject_CheckBuffer(value):
            return False
        try:
            PyObject_GetBuffer(value, view, PyBUF_C_CONTIGUOUS | PyBUF_FORMAT)
        except (BufferError, ValueError, TypeError):
            return False
        format = view.format
        if (format != NULL and (format[0] == port.kind or format[0] == port.other_kind) and format[0] != 0 and format[1] == 0
                and view.itemsize == port.itemsize and <uintptr_t>view.buf % <uintptr_t>port.itemsize == 0):
            return True
        PyBuffer_Release(view)
        return False

    cdef bint bind(self, Port *port, Py_buffer *view, Frame *frame) noexcept:
        """Whether the shape is one the input may have, given the symbols so far; binds those it is the first to tell."""
        cdef int axis
        cdef int64_t extent, value
        cdef Axis *dim
        if view.ndim != port.rank:
            return False
        for axis in range(port.rank):
            dim = &port.axes[axis]
            extent = view.shape[axis]
            if dim.symbol == -1:
                if extent != dim.offset:
                    return False
            elif dim.symbol >= 0:
                value = extent - dim.offset
                if dim.scale != 1:
                    if value % dim.scale != 0:
                        return False
                    value = value // dim.scale
                if value < 0:
                    return False
                if frame.symbols[dim.symbol] < 0:
                    frame.symbols[dim.symbol] = value
                elif frame.symbols[dim.symbol] != value:
                    return False
        return True

    cdef bint fits(self, int index, Frame *frame) except -1:
        """Whether an input's shape is what the symbols say, where only the library can tell."""
        cdef int axis
        self.shape(index, frame)
        for axis in range(self.ports[index].rank):
            if frame.views[index].shape[axis] != frame.dims[axis]:
                return False
        return True

    cdef int shape(self, int port, Frame *frame) except -1:
        """The dimensions of a port into `frame.dims`."""
        cdef int status = self.c_shape(frame.symbols, port, frame.dims)
        if status:
            raise self.arguments.failed(status, self.c_error(NULL).decode("utf-8", "replace"))
        return 0

    cdef tuple shapes(self, Frame *frame):
        """The shapes of the outputs."""
        cdef int i, axis
        cdef Port *port
        result = []
        for i in range(self.output_count):
            port = &self.ports[self.input_count + i]
            if port.is_static:
                result.append(self.output_shapes[i])
                continue
            self.shape(self.input_count + i, frame)
            result.append(tuple([frame.dims[axis] for axis in range(port.rank)]))
        return tuple(result)

    cdef tuple make_outputs(self, Frame *frame):
        shapes = self.output_shapes if self.symbol_count == 0 else self.shapes(frame)
        if self.output_count == 1:
            return (self.empty(shapes[0], self.output_dtypes[0]),)
        return tuple([self.empty(shape, dtype) for shape, dtype in zip(shapes, self.output_dtypes)])
