// Borrowed and owned runs of bytes. Keys and values are binary: any byte may occur in them.
//
// A `Bytes` borrows and never outlives the statement it is made in, unless a header says
// until when. Whoever keeps bytes owns a std::string.
#pragma once

#include <string>
#include <string_view>

namespace dhrt {

using Bytes = std::string_view;

}  // namespace dhrt
