// The kinds of error as Python exceptions: each is fusible.Error and the builtin that people catch.
#include "bindings/errors.h"

#include "bindings/bind.h"
#include "core/error.h"
#include "passes/fault.h"

namespace fusible {
namespace {

struct ErrorTypes {
  py::object error, shape, dtype, argument, range, unsupported, graph, pass;
};

ErrorTypes& Types() {
  static ErrorTypes& types = *new ErrorTypes();
  return types;
}

py::object MakeType(py::module_& m, const char* name, const py::tuple& bases, const char* doc) {
  const py::object type_of =
      py::reinterpret_borrow<py::object>(reinterpret_cast<PyObject*>(&PyType_Type));
  py::dict members;
  members["__module__"] = "fusible";
  members["__doc__"] = doc;
  py::object made = type_of(name, bases, members);
  m.attr(name) = made;
  return made;
}

void RaiseGraphError(const GraphError& error) {
  py::object raised = Types().graph(error.what());
  raised.attr("line") = error.line;
  raised.attr("column") = error.column;
  PyErr_SetObject(Types().graph.ptr(), raised.ptr());
}

void RaisePassError(const PassError& error) {
  py::object raised = Types().pass(error.what());
  raised.attr("pass_name") = error.last.pass;
  raised.attr("rule") = error.last.rule;
  raised.attr("node") = error.last.node;
  raised.attr("rewrites") = error.rewrites;
  PyErr_SetObject(Types().pass.ptr(), raised.ptr());
}

void Translate(std::exception_ptr pending) {  // NOLINT: pybind11 hands it over by value
  const auto raise = [](const py::object& type, const std::exception& error) {
    PyErr_SetString(type.ptr(), error.what());
  };
  try {
    if (pending) std::rethrow_exception(pending);
  } catch (const ShapeError& error) {
    raise(Types().shape, error);
  } catch (const DTypeError& error) {
    raise(Types().dtype, error);
  } catch (const ArgumentError& error) {
    raise(Types().argument, error);
  } catch (const RangeError& error) {
    raise(Types().range, error);
  } catch (const UnsupportedError& error) {
    raise(Types().unsupported, error);
  } catch (const GraphError& error) {
    RaiseGraphError(error);
  } catch (const PassError& error) {
    RaisePassError(error);
  } catch (const Error& error) {
    raise(Types().error, error);
  }
}

}  // namespace

void RaiseInPython() noexcept {
  try {
    Translate(std::current_exception());
  } catch (py::error_already_set& error) {
    error.restore();
  } catch (const py::builtin_exception& error) {
    error.set_error();
  } catch (const std::bad_alloc&) {
    PyErr_NoMemory();
  } catch (const std::exception& error) {
    PyErr_SetString(PyExc_RuntimeError, error.what());
  }
}

void BindErrors(py::module_& m) {
  const auto builtin = [](PyObject* type) { return py::reinterpret_borrow<py::object>(type); };
  ErrorTypes& t = Types();
  t.error = MakeType(m, "Error", py::make_tuple(builtin(PyExc_Exception)),
                     "What fusible raises; the base of its other errors.");
  const auto kind = [&](const char* name, PyObject* base, const char* doc) {
    return MakeType(m, name, py::make_tuple(t.error, builtin(base)), doc);
  };
  t.shape =
      kind("ShapeError", PyExc_ValueError, "A rank, size or memory layout that does not fit.");
  t.dtype = kind("DTypeError", PyExc_TypeError, "A dtype that does not fit, or no array at all.");
  t.argument =
      kind("ArgumentError", PyExc_ValueError, "An attribute, name or setting out of line.");
  t.range = kind("RangeError", PyExc_IndexError, "An id, slot or position outside its range.");
  t.unsupported =
      kind("UnsupportedError", PyExc_NotImplementedError, "Legal, and not done by this build.");
  t.graph = kind("GraphError", PyExc_ValueError,
                 "A text, graph or rule that is not legal; line and column count from 1.");
  t.pass = kind("PassError", PyExc_RuntimeError,
                "A fault of fusible itself: a pass failed, or broke the graph; pass_name, rule and "
                "node are those of the last rewrite before, rewrites their number.");
  py::register_exception_translator(&Translate);
}

}  // namespace fusible
