// How the log of requests is written (node/request_log.h).
#pragma once

namespace dhrt {

enum class RequestLogFormat { text, json };

}  // namespace dhrt
