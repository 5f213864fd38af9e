// The table of OpenAI's routes; the list of models; what is refused.
#include <boost/json/array.hpp>
#include <boost/json/object.hpp>

#include "server/openai.h"

namespace reckon::server {
namespace {

namespace json = boost::json;

json::object model_object(const LibraryModel& model) {
  return {{"id", model.name},     {"object", "model"}, {"created", model.changed_at_s},
          {"owned_by", "reckon"}, {"type", "model"},   {"display_name", model.name}};
}

void list_models(ApiContext& context, Call call) {
  const ApiResult<std::vector<LibraryModel>> models = usable_models(context, call);
  if (!models.ok()) {
    reply_error(call, models.error());
    return;
  }
  json::array list;
  for (const LibraryModel& model : *models) list.push_back(model_object(model));
  reply_json(call, json::object{{"object", "list"}, {"data", std::move(list)}});
}

void show_model(ApiContext& context, Call call) {
  const ApiResult<LibraryModel> model = find_model(context, call, call.rest);
  if (!model.ok()) {
    reply_error(call, model.error());
    return;
  }
  reply_json(call, model_object(*model));
}

void embeddings(ApiContext&, Call call) {
  reply_error(call, {.status = 400,
                     .message = "embeddings: these models write text and give no embeddings",
                     .code = "not_supported"});
}

}  // namespace

std::span<const Route> openai_routes() {
  static constexpr Route kRoutes[] = {
      {"POST", "/v1/chat/completions", chat_completions},
      {"POST", "/v1/chat/completions/control", control_answer},
      {"POST", "/v1/completions", completions},
      {"POST", "/v1/responses", responses},

      {"POST", "/v1/embeddings", embeddings},
      {"GET", "/v1/models", list_models},
      {"GET", "/v1/models/", show_model},
  };
  return kRoutes;
}

}  // namespace reckon::server
